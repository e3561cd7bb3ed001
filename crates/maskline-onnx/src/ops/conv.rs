//! Convolutions and pooling over two spatial axes (NCHW).

use crate::graph::Op;
use crate::{Dim, ErrorKind, Graph, Result, Shape, Value};

/// Options of [`Graph::conv`] and [`Graph::conv_transpose`].
#[derive(Debug, Clone)]
pub struct ConvOptions {
    /// Step per axis (rows, columns).
    pub stride: [usize; 2],
    /// Zeros added: top, left, bottom, right.
    pub padding: [usize; 4],
    /// Distance of the kernel's taps per axis.
    pub dilation: [usize; 2],
    /// Independent channel groups; the channel count for a depthwise convolution.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: [1; 2], padding: [0; 4], dilation: [1; 2], groups: 1 }
    }
}

impl ConvOptions {
    /// Stride `stride` with the zeros on every side that keep (or exactly divide) the size for an odd `kernel`.
    pub fn same(kernel: usize, stride: usize) -> Self {
        Self { stride: [stride; 2], padding: [kernel / 2; 4], ..Self::default() }
    }
}

/// Options of the pooling operators.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Window (rows, columns).
    pub kernel: [usize; 2],
    /// Step (rows, columns).
    pub stride: [usize; 2],
    /// Border: top, left, bottom, right; never taken as the maximum and not counted in the average.
    pub padding: [usize; 4],
}

impl<'w> Graph<'w> {
    /// Convolution: `x` [N, C, H, W], `weight` `[O, C/groups, kh, kw]`, `bias` `[O]` → [N, O, H', W'].
    ///
    /// # Errors
    /// `Shape` if channels, kernel or bias do not fit.
    pub fn conv(&mut self, x: &Value, weight: &Value, bias: Option<&Value>, options: &ConvOptions) -> Result<Value> {
        let dtype = self.same_dtype("Conv", &[x, weight])?;
        self.float_only("Conv", x)?;
        let (kernel, [out_channels, group_channels]) = self.kernel_of("Conv", x, weight)?;
        if options.groups == 0 || x.shape()[1].known() != Some(group_channels * options.groups) || out_channels % options.groups != 0 {
            return Err(self.channel_mismatch("Conv", x, weight, options.groups));
        }
        self.check_bias("Conv", bias, out_channels)?;
        let ConvOptions { dilation, stride, padding, .. } = options;
        let window = |i: usize| Window {
            axis: i + 2,
            kernel: kernel[i],
            dilation: dilation[i],
            stride: stride[i],
            padding: padding[i] + padding[i + 2],
        };
        let rows = self.window("Conv", x, window(0))?;
        let columns = self.window("Conv", x, window(1))?;
        let op = conv_attributes(Op::new("Conv", &[x, weight]).optional(bias), kernel, options);
        Ok(self.emit(op, dtype, Shape(vec![x.shape()[0].clone(), out_channels.into(), rows, columns])))
    }

    /// Transposed convolution: `x` [N, C, H, W], `weight` `[C, O/groups, kh, kw]`, `bias` `[O]` → [N, O, H', W'].
    ///
    /// # Errors
    /// `Shape` if channels, kernel or bias do not fit.
    pub fn conv_transpose(&mut self, x: &Value, weight: &Value, bias: Option<&Value>, options: &ConvOptions) -> Result<Value> {
        let dtype = self.same_dtype("ConvTranspose", &[x, weight])?;
        self.float_only("ConvTranspose", x)?;
        let (kernel, [in_channels, group_channels]) = self.kernel_of("ConvTranspose", x, weight)?;
        if options.groups == 0 || x.shape()[1].known() != Some(in_channels) || in_channels % options.groups != 0 {
            return Err(self.channel_mismatch("ConvTranspose", x, weight, options.groups));
        }
        let out_channels = group_channels * options.groups;
        self.check_bias("ConvTranspose", bias, out_channels)?;
        let size = |axis: usize| {
            let padding = options.padding[axis] + options.padding[axis + 2];
            let reach = options.dilation[axis] * (kernel[axis] - 1) + 1;
            x.shape()[axis + 2].offset(-1).times(options.stride[axis] as i64).offset(reach as i64 - padding as i64)
        };
        let shape = Shape(vec![x.shape()[0].clone(), out_channels.into(), size(0), size(1)]);
        let op = conv_attributes(Op::new("ConvTranspose", &[x, weight]).optional(bias), kernel, options);
        Ok(self.emit(op, dtype, shape))
    }

    /// Maximum over windows: [N, C, H, W] → [N, C, H', W'].
    ///
    /// # Errors
    /// `Shape` if `x` is not [N, C, H, W] or smaller than the window.
    pub fn max_pool(&mut self, x: &Value, options: &PoolOptions) -> Result<Value> {
        self.pool("MaxPool", x, options)
    }

    /// Average over windows, borders not counted: [N, C, H, W] → [N, C, H', W'].
    ///
    /// # Errors
    /// As [`Graph::max_pool`].
    pub fn average_pool(&mut self, x: &Value, options: &PoolOptions) -> Result<Value> {
        self.pool("AveragePool", x, options)
    }

    fn pool(&mut self, kind: &'static str, x: &Value, options: &PoolOptions) -> Result<Value> {
        let dtype = self.float_only(kind, x)?;
        if x.rank() != 4 {
            return Err(self.fail(kind, ErrorKind::Shape, "").expecting("[N, C, H, W]").finding(x.shape()));
        }
        let PoolOptions { kernel, stride, padding } = options;
        let window =
            |i: usize| Window { axis: i + 2, kernel: kernel[i], dilation: 1, stride: stride[i], padding: padding[i] + padding[i + 2] };
        let (rows, columns) = (self.window(kind, x, window(0))?, self.window(kind, x, window(1))?);
        let op = Op::new(kind, &[x]).ints("kernel_shape", signed(kernel)).ints("strides", signed(stride)).ints("pads", signed(padding));
        Ok(self.emit(op, dtype, Shape(vec![x.shape()[0].clone(), x.shape()[1].clone(), rows, columns])))
    }

    fn kernel_of(&self, kind: &str, x: &Value, weight: &Value) -> Result<([usize; 2], [usize; 2])> {
        match (x.rank(), weight.shape().known().as_deref()) {
            (4, Some(&[a, b, rows, columns])) if rows > 0 && columns > 0 => Ok(([rows, columns], [a, b])),
            _ => {
                let found = format!("{} and {}", x.shape(), weight.shape());
                Err(self.fail(kind, ErrorKind::Shape, "").expecting("input [N, C, H, W] and a 4-d weight").finding(found))
            }
        }
    }

    fn channel_mismatch(&self, kind: &str, x: &Value, weight: &Value, groups: usize) -> crate::Error {
        let message = format!("input {} does not fit weight {} in {groups} group(s)", x.shape(), weight.shape());
        self.fail(kind, ErrorKind::Shape, message)
    }

    fn check_bias(&self, kind: &str, bias: Option<&Value>, channels: usize) -> Result<()> {
        match bias {
            Some(bias) if *bias.shape() != Shape::fixed(&[channels]) => {
                Err(self.fail(kind, ErrorKind::Shape, "").expecting(format!("bias [{channels}]")).finding(bias.shape()))
            }
            _ => Ok(()),
        }
    }

    /// Number of window positions along an axis.
    fn window(&self, kind: &str, x: &Value, window: Window) -> Result<Dim> {
        let Window { axis, kernel, dilation, stride, padding } = window;
        let reach = (dilation * (kernel.max(1) - 1) + 1) as i64;
        let free = x.shape()[axis].offset(padding as i64 - reach);
        let fits = free.known().is_some() || x.shape()[axis].known().is_none();
        match free.divided(stride as i64) {
            Some(steps) if fits && kernel > 0 && dilation > 0 => Ok(steps.offset(1)),
            _ => {
                let message =
                    format!("a window of {reach} with stride {stride} and padding {padding} does not fit axis {axis} of {}", x.shape());
                Err(self.fail(kind, ErrorKind::Shape, message))
            }
        }
    }
}

/// How a kernel goes along one axis.
struct Window {
    axis: usize,
    kernel: usize,
    dilation: usize,
    stride: usize,
    /// Of both sides together.
    padding: usize,
}

fn conv_attributes<'a>(op: Op<'a>, kernel: [usize; 2], options: &ConvOptions) -> Op<'a> {
    op.ints("kernel_shape", signed(&kernel))
        .ints("strides", signed(&options.stride))
        .ints("pads", signed(&options.padding))
        .ints("dilations", signed(&options.dilation))
        .int("group", options.groups as i64)
}

fn signed(values: &[usize]) -> impl Iterator<Item = i64> + '_ {
    values.iter().map(|v| *v as i64)
}
