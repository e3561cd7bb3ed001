//! `maskline verify`.

use std::collections::HashMap;

use maskline::verify::{Computed, Report, VerifyOptions, verify as run_case};
use maskline::{BundleOptions, Dialect};
use safetensors::tensor::{Dtype, TensorView};

use crate::args::Verify;
use crate::failure::Failure;
use crate::output::{Inputs, SingleFile};
use crate::{model, terminal};

/// Runs every case; what fails is in the table, and the exit code is 1.
pub(crate) fn verify(arguments: &Verify) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    for case in &arguments.cases {
        let files = std::fs::read_dir(case).into_iter().flatten().flatten().map(|entry| entry.path());
        files.for_each(|file| inputs.add([file.as_path()]));
    }
    let file = arguments.dump.as_deref().map(|path| SingleFile::open(path, inputs, arguments.overwrite)).transpose()?;
    let provider = arguments.openvino.provider(&arguments.provider)?;
    let (path, offline) = (arguments.runtime.as_deref(), arguments.offline);
    let engine = model::Runtime { provider: &arguments.provider, path, offline, ..model::Runtime::default() }.engine()?;
    let dialect = if arguments.portable { Dialect::Portable } else { BundleOptions::default().dialect };
    let options =
        VerifyOptions { provider, dialect, decoder: arguments.decoder, kernels: arguments.kernels, precision: arguments.precision };
    let mut reports = Vec::new();
    for case in &arguments.cases {
        for report in run_case(&engine, case, &options)? {
            if arguments.json {
                let line = serde_json::to_string(&report).map_err(|e| Failure::new(maskline::ErrorKind::Failed, e.to_string()))?;
                terminal::print(&format!("{line}\n"))?;
            } else {
                terminal::print(&table(&report))?;
            }
            reports.push(report);
        }
    }
    if let Some(file) = file {
        file.write(&dump(&reports)?)?;
    }
    let failed = reports.iter().filter(|report| !report.passed()).count();
    let tensors: usize = reports.iter().map(|report| report.rows.len()).sum();
    terminal::say(&format!("{} of {} runs passed, {tensors} tensors compared", reports.len() - failed, reports.len()));
    if failed > 0 { Err(Failure::Told(1)) } else { Ok(()) }
}

fn table(report: &Report) -> String {
    let mut table = terminal::table(&["tensor", "max abs", "relative", "tolerance", "IoU", ""]);
    for row in &report.rows {
        let number = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.2e}"));
        let verdict = match (&row.failure, row.passed) {
            (Some(failure), _) => failure.lines().next().unwrap_or("failed").to_string(),
            (None, true) => "ok".into(),
            (None, false) => "BEYOND".into(),
        };
        table.add_row([
            row.tensor.clone(),
            number(row.max_abs),
            number(row.relative),
            format!("{:.1e}", row.tolerance),
            row.iou.map_or_else(String::new, |iou| format!("{iou:.4}")),
            verdict,
        ]);
    }
    let on = report.checkpoint.as_ref().map_or_else(String::new, |path| format!(" on {path}"));
    format!("{}{on}\n{table}\n", report.case)
}

/// All computed tensors as one file; with several reports, names carry the case.
fn dump(reports: &[Report]) -> Result<Vec<u8>, Failure> {
    let failed = |error: String| Failure::new(maskline::ErrorKind::Failed, error);
    let mut tensors: HashMap<String, (&Computed, Vec<u8>)> = HashMap::new();
    for (i, report) in reports.iter().enumerate() {
        for (name, computed) in &report.computed {
            let name = if reports.len() == 1 { name.clone() } else { format!("{i}.{}.{name}", report.case) };
            tensors.insert(name, (computed, computed.data.iter().flat_map(|v| v.to_le_bytes()).collect()));
        }
    }
    let views = tensors.iter().map(|(name, (computed, bytes))| {
        let view = TensorView::new(Dtype::F32, computed.shape.clone(), bytes).map_err(|e| failed(e.to_string()))?;
        Ok((name.clone(), view))
    });
    let views = views.collect::<Result<HashMap<_, _>, Failure>>()?;
    safetensors::serialize(views, None).map_err(|e| failed(e.to_string()))
}
