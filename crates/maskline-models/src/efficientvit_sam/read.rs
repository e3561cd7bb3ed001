//! The sizes of a checkpoint, from the names and shapes of its tensors.

use maskline_weights::{Checkpoint, Scope};

use super::config::{Attention, Block, Config, PROMPT_STRIDE, PUBLISHED, Stage, published_image_size, published_width, with_own_epsilon};
use crate::sam::{DecoderConfig, Frame, Generation, first, names};
use crate::{BuildOptions, Error, ErrorKind, Facts, Result};

impl Config {
    /// The sizes of a checkpoint. The sides of picture and prompt square are facts that no tensor tells; unless told, they are the
    /// published ones.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing or contradicts another, `Configuration` for bad sides.
    pub fn of_checkpoint(checkpoint: &Checkpoint, options: &BuildOptions, facts: &Facts) -> Result<Self> {
        let encoder = checkpoint.root().push("image_encoder");
        let stages = stages(&encoder.push("backbone.stages"))?;
        let neck = encoder.push("neck");
        let inputs = neck.push("input_ops").children().len();
        if inputs == 0 || inputs > stages.len() {
            let misfit = Error::new(ErrorKind::Checkpoint, "image_encoder.neck.input_ops");
            let misfit = misfit.expecting(format!("1 to {} stages that feed the neck", stages.len())).finding(inputs);
            return Err(misfit.at(checkpoint.path()));
        }
        let middle = neck.push("middle.op_list");
        let blocks = (0..middle.children().len()).map(|i| block(&middle.push(i))).collect::<Result<Vec<_>>>()?;
        let (image_size, space) = sides(options, facts, stages.len())?;
        let frame = Frame { generation: Generation::One, grid: space / PROMPT_STRIDE, space };
        let decoder = DecoderConfig::of_checkpoint(checkpoint, &names::OFFICIAL_1, facts, frame)?;
        Ok(Self {
            architecture: architecture(&stages, blocks.len()),
            image_size,
            stem_kernel: axis(&encoder, "backbone.stages.0.op_list.0.conv.weight", 2)?,
            fed: (stages.len() - inputs..stages.len()).rev().collect(),
            stages,
            neck_width: axis(&neck, "input_ops.0.op_list.0.conv.weight", 0)?,
            neck: blocks,
            decoder: with_own_epsilon(decoder),
        })
    }
}

/// Side of the picture and of the prompt square.
fn sides(options: &BuildOptions, facts: &Facts, stages: usize) -> Result<(usize, usize)> {
    let trained = facts.number("img");
    let space = facts.number("prompt_space").or_else(|| trained.map(|side| if stages < 6 { 2 * side } else { side }));
    let space = space.unwrap_or(first::PUBLISHED_SPACE);
    let image_size = options.image_size.or(trained).unwrap_or(published_image_size(stages, space));
    Ok((first::check_image_size(image_size, 1 << stages)?, first::check_space(space, PROMPT_STRIDE)?))
}

fn stages(scope: &Scope<'_>) -> Result<Vec<Stage>> {
    let count = scope.children().len();
    let mut stages = Vec::with_capacity(count);
    for index in 0..count {
        let list = scope.push(index).push("op_list");
        let length = list.children().len();
        let stem = usize::from(index == 0);
        let blocks = (stem..length).map(|i| block(&list.push(i))).collect::<Result<Vec<_>>>()?;
        let width = match index {
            0 => axis(&list, "0.conv.weight", 0)?,
            _ => axis(&list, &format!("0.main.{}.conv.weight", last_convolution(blocks.first())), 0)?,
        };
        stages.push(Stage { width, blocks });
    }
    if stages.is_empty() || stages.len() > 8 {
        let misfit = Error::new(ErrorKind::Checkpoint, scope.name()).expecting("1 to 8 stages").finding(count);
        return Err(misfit.at(scope.checkpoint().path()));
    }
    Ok(stages)
}

fn last_convolution(block: Option<&Block>) -> &'static str {
    if matches!(block, Some(Block::Residual { .. })) { "conv2" } else { "point_conv" }
}

/// What a block is, told by the names of its convolutions.
fn block(scope: &Scope<'_>) -> Result<Block> {
    let main = scope.push("main");
    let sizes = |wide: &str, spatial: &str| {
        let hidden = axis(&main, &format!("{wide}.conv.weight"), 0)?;
        Ok::<_, Error>((hidden, axis(&main, &format!("{spatial}.conv.weight"), 2)?))
    };
    if scope.contains("context_module.main.qkv.conv.weight") {
        return Ok(Block::Attention(attention(scope)?));
    }
    if main.contains("inverted_conv.conv.weight") {
        let (hidden, kernel) = sizes("inverted_conv", "depth_conv")?;
        return Ok(Block::Inverted { hidden, kernel });
    }
    if main.contains("spatial_conv.conv.weight") {
        let (hidden, kernel) = sizes("spatial_conv", "spatial_conv")?;
        return Ok(Block::Fused { hidden, kernel });
    }
    if main.contains("conv1.conv.weight") {
        let (hidden, kernel) = sizes("conv1", "conv1")?;
        return Ok(Block::Residual { hidden, kernel });
    }
    let misfit = Error::new(ErrorKind::Checkpoint, scope.name()).expecting("a residual, fused, inverted or attention block");
    Err(misfit.finding(format!("{:?}", main.children())).at(scope.checkpoint().path()))
}

fn attention(scope: &Scope<'_>) -> Result<Attention> {
    let main = scope.push("context_module.main");
    let total = axis(&main, "qkv.conv.weight", 0)?;
    let scales = main.push("aggreg").children().len();
    let scales = (0..scales).map(|i| axis(&main, &format!("aggreg.{i}.0.weight"), 2)).collect::<Result<Vec<_>>>()?;
    // Each head gathers its own queries, keys and values: the groups of the 1×1 convolution have the width of a head.
    let size = axis(&main, "aggreg.0.1.weight", 1)?;
    if size == 0 || total == 0 || !total.is_multiple_of(3 * size) {
        let misfit = Error::new(ErrorKind::Checkpoint, main.name()).expecting(format!("queries, keys and values of heads of width {size}"));
        return Err(misfit.finding(format!("{total} channels")).at(scope.checkpoint().path()));
    }
    let local = scope.push("local_module.main");
    Ok(Attention {
        heads: total / (3 * size),
        size,
        scales,
        hidden: axis(&local, "inverted_conv.conv.weight", 0)?,
        kernel: axis(&local, "depth_conv.conv.weight", 2)?,
    })
}

/// Size of one axis of a tensor; 0 where it has no such axis, which no weight fits.
fn axis(scope: &Scope<'_>, name: &str, axis: usize) -> Result<usize> {
    Ok(scope.shape(name)?.get(axis).copied().unwrap_or(0))
}

fn architecture(stages: &[Stage], neck: usize) -> String {
    let widths: Vec<usize> = stages.iter().map(|stage| stage.width).collect();
    // The first block of a stage halves the resolution; in the first stage the stem does.
    let blocks: Vec<usize> = stages.iter().enumerate().map(|(i, stage)| stage.blocks.len() - usize::from(i > 0)).collect();
    let is_published = widths.iter().enumerate().all(|(i, width)| *width == published_width(i));
    match PUBLISHED.iter().find(|p| is_published && p.blocks == blocks && p.neck.0 == neck) {
        Some(published) => format!("efficientvit-sam-{}", published.suffix),
        None => format!("efficientvit_sam (widths {widths:?})"),
    }
}
