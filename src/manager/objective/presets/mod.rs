//! Objectives as papers and repositories have them, with their weights.

mod cyclegan;
mod esrgan;
mod pix2pix;
mod pix2pixhd;
mod real_esrgan;

use super::problem::nearest;
use super::{GanLossSpec, GanSide, LossSpec, Objective, ObjectiveError, TermSpec};
use crate::manager::Schedule;
use crate::{GanLoss, Result};

pub use cyclegan::cyclegan;
pub use esrgan::esrgan;
pub use pix2pix::{pix2pix, Lambdas, Subspec};
pub use pix2pixhd::pix2pixhd;
pub use real_esrgan::real_esrgan;

type Make = fn() -> Objective;

/// All that have a name, and what makes them.
const PUBLISHED: [(&str, Make); 5] = [
    ("pix2pix", || pix2pix(Subspec::default(), &Lambdas::default())),
    ("pix2pixhd", pix2pixhd),
    ("cyclegan", cyclegan),
    ("esrgan", esrgan),
    ("real_esrgan", real_esrgan),
];

impl Objective {
    /// The names of the published objectives.
    pub const PUBLISHED: &'static [&'static str] = &{
        let mut names = [""; PUBLISHED.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = PUBLISHED[index].0;
            index += 1;
        }
        names
    };

    /// A published objective: [`pix2pix`] with its defaults, [`pix2pixhd`], [`cyclegan`], [`esrgan`] or [`real_esrgan`].
    /// The page of each function says what its losses are computed from.
    ///
    /// `tch-losses objective show cyclegan > objective.toml` writes it to a file.
    ///
    /// # Errors
    /// A name that none has, with the one that may be meant.
    ///
    /// ```
    /// use tch_losses::manager::{cyclegan, Objective};
    ///
    /// assert_eq!(Objective::named("cyclegan")?, cyclegan());
    /// let error = Objective::named("CycleGan2").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the published objectives: `CycleGan2` is none of them, did you mean `cyclegan`?"
    /// );
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn named(name: &str) -> Result<Objective> {
        if let Some((_, make)) = PUBLISHED.iter().find(|(own, _)| *own == name) {
            return Ok(make());
        }
        let problem = match nearest(name, Objective::PUBLISHED, &[]) {
            Some(near) => format!("`{name}` is none of them, did you mean `{near}`?"),
            None => format!("`{name}` is none of them: there are `{}`", Objective::PUBLISHED.join("`, `")),
        };
        let origin = "the published objectives".into();
        Err(ObjectiveError { origin, field: String::new(), problem }.into())
    }

    /// Adds a loss with a weight and tags.
    fn with(mut self, name: &str, loss: LossSpec, weight: f64, tags: &[&str]) -> Objective {
        let tags = tags.iter().map(|tag| tag.to_string()).collect();
        let term = TermSpec { weight: Schedule::fixed(weight), tags, ..loss.into() };
        self.losses.insert(name.into(), term);
        self
    }
}

/// The generator's side.
fn generator(loss: GanLoss) -> LossSpec {
    LossSpec::GanLoss(GanLossSpec::new(GanSide::Generator, loss))
}

/// The discriminator's side.
fn discriminator(loss: GanLoss) -> LossSpec {
    LossSpec::GanLoss(GanLossSpec::new(GanSide::Discriminator, loss))
}
