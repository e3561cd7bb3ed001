//! What the made-up report says it measured.

use maskline_bench::report::{
    Effort, Identity, Inputs, Machine, ModelIdentity, Precision, PromptKind, Prompts, Provider, Run, Subject, Tool,
};

/// Names of the subjects.
pub(crate) const SUBJECTS: [&str; 2] = ["sam2.1-tiny", "sam2.1-tiny, bf16"];

pub(crate) fn identity() -> Identity {
    let text = |text: &str| Some(text.to_owned());
    Identity {
        created: "2026-01-15T09:30:00Z".to_owned(),
        tool: Tool { version: "0.1.0".to_owned(), commit: text("0123456789abcdef"), onnx_runtime: "1.24.0".to_owned() },
        machine: Machine {
            cpu: "Example Processor 9000 @ 3.40GHz".to_owned(),
            isa: text("avx512_vnni, avx512f, avx2"),
            logical_cpus: 16,
            governor: text("performance"),
            clock_mhz: Some(3390.0),
            clock_max_mhz: Some(3600.0),
            throttles: Some(0),
            temperature_celsius: Some(71.0),
            memory_bytes: Some(32 << 30),
            bandwidth_gbs: Some(38.6),
            multiply_add_gflops: Some(198.0),
            load_before: Some(0.12),
            os: "Linux 6.12".to_owned(),
            device: None,
            driver: None,
            cards: Vec::new(),
        },
        run: Run {
            arguments: ["bench", "sam2.1-tiny", "--sweep", "precision=f32,bf16", "--against", "pytorch"].map(str::to_owned).to_vec(),
            seed: 42,
            seconds: 431.7,
        },
        inputs: Inputs { name: "photos".to_owned(), count: 64, sha256: "fedcba9876543210".repeat(4), is_synthetic: false },
        subjects: vec![subject(SUBJECTS[0], Precision::F32), subject(SUBJECTS[1], Precision::Bf16)],
    }
}

fn subject(name: &str, precision: Precision) -> Subject {
    Subject {
        name: name.to_owned(),
        model: ModelIdentity {
            name: "sam2.1-tiny".to_owned(),
            sha256: Some("0123456789abcdef".repeat(4)),
            generated_from_seed: None,
            bundle: format!("89abcdef01234567{}", precision.name()),
            family: "SAM 2.1".to_owned(),
            architecture: "Hiera-T".to_owned(),
            precision: Some(precision),
            kernels: None,
        },
        provider: Provider { asked: "cpu".to_owned(), actual: "cpu".to_owned(), fallback_share: Some(0.0) },
        threads: Some(8),
        batch: 1,
        image_size: Some(1024),
        prompts: Some(Prompts { kind: PromptKind::Click, count: 1 }),
        texts: None,
        server: None,
        effort: Some(effort(96 << 20, &["install maskline", "maskline run"])),
    }
}

pub(crate) fn effort(installed_bytes: u64, steps: &[&str]) -> Effort {
    Effort { installed_bytes: Some(installed_bytes), steps: steps.iter().map(ToString::to_string).collect() }
}
