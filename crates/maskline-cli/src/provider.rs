//! What runs the networks, as the command line says it.

use clap::Args;
use maskline::runtime::{InferencePrecision, OpenVinoOptions, PerformanceHint};
use maskline::{Error, ErrorKind, Provider};

use crate::gpu::Gpu;

/// How OpenVINO computes; other providers have none of it.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(crate) struct OpenVino {
    /// What OpenVINO tunes the network for: latency of one call, or throughput of several. [default: latency]
    #[arg(long, value_name = "HINT", value_parser = ["latency", "throughput"], help_heading = "OpenVINO")]
    pub(crate) hint: Option<String>,
    /// Requests that one session is laid out for, 1 to 8; they share the threads. [default: 1]
    #[arg(long, value_name = "COUNT", help_heading = "OpenVINO")]
    pub(crate) streams: Option<usize>,
    /// Arithmetic inside the network, whatever the weights are kept as. [default: f32]
    #[arg(long, value_name = "PRECISION", value_parser = ["f32", "bf16", "f16"], help_heading = "OpenVINO")]
    pub(crate) inference_precision: Option<String>,
}

impl OpenVino {
    /// The provider of this name, with these options.
    ///
    /// # Errors
    /// `InvalidOption` for an unknown name or value, and for options with a provider that has none of them.
    pub(crate) fn provider(&self, name: &str) -> Result<Provider, Error> {
        let provider: Provider = name.parse()?;
        let Provider::OpenVino(usual) = provider else {
            return match self.given() {
                Some(option) => {
                    let error = Error::new(ErrorKind::InvalidOption, format!("{option}: the provider {name} has no such option"));
                    Err(error.with_help(format!("leave it out, or add --provider openvino, which has {option}")))
                }
                None => Ok(provider),
            };
        };
        let hint = self.hint.as_deref().map(str::parse::<PerformanceHint>).transpose()?;
        let precision = self.inference_precision.as_deref().map(str::parse::<InferencePrecision>).transpose()?;
        let options = OpenVinoOptions { hint, streams: self.streams, precision: precision.unwrap_or_default(), ..usual };
        Ok(Provider::OpenVino(options))
    }

    /// The first option that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [
            (self.hint.is_some(), "--hint"),
            (self.streams.is_some(), "--streams"),
            (self.inference_precision.is_some(), "--inference-precision"),
        ];
        given.iter().find(|(is_given, _)| *is_given).map(|(_, option)| *option)
    }
}

/// A provider by its name, with all that was said of it.
///
/// # Errors
/// `InvalidOption` for an unknown name or value, and for options that the provider has not.
pub(crate) fn provider(name: &str, gpu: &Gpu, openvino: &OpenVino) -> Result<Provider, Error> {
    Ok(openvino.provider(name)?.with_gpu(&gpu.options())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_openvino_are_refused_with_other_providers() {
        let all = [
            OpenVino { hint: Some("latency".into()), ..OpenVino::default() },
            OpenVino { streams: Some(2), ..OpenVino::default() },
            OpenVino { inference_precision: Some("f32".into()), ..OpenVino::default() },
        ];
        for options in all {
            for name in ["cpu", "cuda", "tensorrt"] {
                let error = options.provider(name).expect_err("refused");
                assert!(error.kind() == ErrorKind::InvalidOption && error.help().is_some(), "{error}");
                assert!(OpenVino::default().provider(name).is_ok());
            }
            assert!(matches!(options.provider("openvino"), Ok(Provider::OpenVino(_))));
        }
    }

    #[test]
    fn options_reach_the_provider() {
        let options = OpenVino { hint: Some("throughput".into()), streams: Some(4), inference_precision: Some("bf16".into()) };
        let Ok(Provider::OpenVino(given)) = options.provider("openvino") else { panic!("openvino") };
        let expected = OpenVinoOptions {
            hint: Some(PerformanceHint::Throughput),
            streams: Some(4),
            precision: InferencePrecision::Bf16,
            ..OpenVinoOptions::default()
        };
        assert_eq!(given, expected);
        assert_eq!(OpenVino::default().provider("openvino").ok(), Some(Provider::OpenVino(OpenVinoOptions::default())));
    }
}
