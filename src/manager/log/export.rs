//! The log in the layout of the reference's `loss_log.json`, and as CSV.

use std::io::{self, Write};
use std::path::Path;

use super::json::not_finite;
use super::{LoggedRun, RunInfo};
use crate::base::atomic;
use crate::Result;

impl LoggedRun {
    /// Writes the losses to a JSON file in the layout that NectarGAN's tools read (there: `loss_log.json`).
    ///
    /// ```text
    /// {"LOSSMANAGER_LOG": {"device", "dataroot", "dataset_length", "experiment",
    ///                      "loss_functions": {NAME: {"loss": [weighted, ..], "weights": [weight, ..]}, ..}}}
    /// ```
    ///
    /// Values that are not finite are written as Python's `json` does, which reads them, too: `NaN`,
    /// `Infinity`. The file appears under its name when it is whole; one that was there is replaced.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write) where the file cannot be written.
    ///
    /// ```
    /// use indexmap::IndexMap;
    /// use tch_losses::manager::log::{LoggedRun, LossCurve, RunInfo};
    ///
    /// let l1 = LossCurve {
    ///     tags: vec!["G".into()],
    ///     steps: vec![0, 1],
    ///     epochs: vec![0, 0],
    ///     values: vec![0.75, 0.5],
    ///     weights: vec![100.0, 100.0],
    ///     weighted: vec![75.0, 50.0],
    /// };
    /// let run = RunInfo { device: "cpu".into(), dataset_length: 400, ..Default::default() };
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("loss_log.json");
    /// LoggedRun { run, losses: IndexMap::from([("G_L1".into(), l1)]), ..Default::default() }.export(&path)?;
    /// let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    /// assert_eq!(json["LOSSMANAGER_LOG"]["loss_functions"]["G_L1"]["loss"][1], 50.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        atomic::write(path.as_ref(), |file| self.write_to(file))
    }

    /// Writes every record to a CSV file, loss by loss, with all digits:
    ///
    /// ```text
    /// loss,step,epoch,value,weight,weighted
    /// G_L1,0,0,0.75,100.0,75.0
    /// G_L1,1,0,0.5,100.0,50.0
    /// ```
    ///
    /// Values that are not finite are `NaN`, `inf` and `-inf`, which pandas reads. The file appears under its name when
    /// it is whole; one that was there is replaced. A column for each loss is one line of pandas:
    /// `read_csv(path).pivot(index=["epoch", "step"], columns="loss", values="value")`.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write) where the file cannot be written.
    ///
    /// ```
    /// use tch_losses::manager::log::{LoggedRun, LossCurve};
    ///
    /// let l1 = LossCurve {
    ///     tags: vec!["G".into()],
    ///     steps: vec![0, 1],
    ///     epochs: vec![0, 0],
    ///     values: vec![0.75, 0.5],
    ///     weights: vec![100.0, 100.0],
    ///     weighted: vec![75.0, 50.0],
    /// };
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("loss_log.csv");
    /// LoggedRun { losses: [("G_L1".into(), l1)].into(), ..Default::default() }.export_csv(&path)?;
    /// assert!(std::fs::read_to_string(&path)?.ends_with("\nG_L1,1,0,0.5,100.0,50.0\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        atomic::write(path.as_ref(), |file| {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(["loss", "step", "epoch", "value", "weight", "weighted"])?;
            for (name, curve) in &self.losses {
                let places = curve.steps.iter().zip(&curve.epochs);
                let numbers = curve.values.iter().zip(&curve.weights).zip(&curve.weighted);
                for ((step, epoch), ((value, weight), weighted)) in places.zip(numbers) {
                    writer.serialize((name, step, epoch, value, weight, weighted))?;
                }
            }
            writer.flush()
        })
    }

    fn write_to(&self, file: &mut impl Write) -> io::Result<()> {
        let RunInfo { experiment, device, dataroot, dataset_length } = &self.run;
        let [experiment, device, dataroot] = [experiment, device, dataroot].map(|text| quoted(text));
        write!(
            file,
            "{{\"LOSSMANAGER_LOG\": {{\"device\": {device}, \"dataroot\": {dataroot}, \
             \"dataset_length\": {dataset_length}, \"experiment\": {experiment}, \"loss_functions\": {{"
        )?;
        for (index, (name, curve)) in self.losses.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(file, "{comma}\n{}: {{\"loss\": ", quoted(name))?;
            write_numbers(file, &curve.weighted)?;
            write!(file, ", \"weights\": ")?;
            write_numbers(file, &curve.weights)?;
            write!(file, "}}")?;
        }
        writeln!(file, "}}}}}}")
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string has no key and no number")
}

/// By hand, for serde_json writes `null` for what is not finite.
fn write_numbers(file: &mut impl Write, numbers: &[f64]) -> io::Result<()> {
    write!(file, "[")?;
    for (index, number) in numbers.iter().enumerate() {
        if index > 0 {
            write!(file, ", ")?;
        }
        match number.is_finite() {
            true => serde_json::to_writer(&mut *file, number)?,
            false => write!(file, "{}", not_finite(*number))?,
        }
    }
    write!(file, "]")
}
