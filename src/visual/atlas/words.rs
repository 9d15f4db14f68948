//! The atlas in words.

use std::cmp::Ordering;

use super::sensitivity::{photos, rounded, short};
use super::{Answers, Atlas, Distortion, LossAnswers};
use crate::printable;

/// What is nearer to 0 is rounding.
const NOTHING: f64 = 0.005;
/// Below this part of its median a loss is said to be blind, below that dull, above the last keen. Compared are numbers
/// as they are shown, so that equal ones have one word.
const BLIND: f64 = 0.1;
const DULL: f64 = 0.4;
const KEEN: f64 = 2.5;
/// Below this cosine a gradient leads nowhere near the photo.
const ASTRAY: f64 = 0.1;
/// Above this cosine the gradients of two losses are nearly equal.
const ALIKE: f64 = 0.95;

impl Atlas {
    /// What each loss sees and what it is blind to, in words from the numbers, as Markdown.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "Measured on {}. At equal error means: each distortion has the strength at which the root of the mean \
             squared difference is {}. A number after × is what the loss sees of a distortion there, as a multiple of \
             the loss's own median over the nine distortions.\n",
            photos(self.photos),
            self.error
        );
        text += "\n## By distortion\n\n";
        text += "| distortion | sees it most | sees it least | gradients that lead back least |\n|---|---|---|---|\n";
        for (place, distortion) in Distortion::ALL.into_iter().enumerate() {
            let sensitivity = |loss: &LossAnswers| loss.answers[place].sensitivity;
            let way_back =
                |loss: &LossAnswers| loss.answers[place].at_equal_error.map(|point| point.way_back);
            let most = self.ranked(
                sensitivity,
                |one, other| other.total_cmp(&one),
                |times| format!("×{}", short(times)),
            );
            let least = self.ranked(
                sensitivity,
                |one, other| one.total_cmp(&other),
                |times| format!("×{}", short(times)),
            );
            let back = self.ranked(way_back, |one, other| one.total_cmp(&other), two_digits);
            text += &format!("| {} | {most} | {least} | {back} |\n", distortion.name());
        }
        text += "\n## By loss\n";
        let mut family = "";
        for (number, loss) in self.losses.iter().enumerate() {
            if loss.family != family {
                family = &loss.family;
                text += &format!("\n### {}\n\n", printable(family));
            }
            text += &format!("- **{}**{}\n", printable(&loss.name), self.sentences(number, loss));
        }
        text
    }

    /// The three losses with the best numbers.
    fn ranked(
        &self,
        number: impl Fn(&LossAnswers) -> Option<f64>,
        order: impl Fn(f64, f64) -> Ordering,
        text: impl Fn(f64) -> String,
    ) -> String {
        let mut ranked: Vec<_> =
            self.losses.iter().filter_map(|loss| Some((&loss.name, number(loss)?))).collect();
        ranked.sort_by(|one, other| order(one.1, other.1));
        let best = ranked.into_iter().take(3);
        best.map(|(name, number)| format!("{} {}", printable(name), text(number)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn sentences(&self, number: usize, loss: &LossAnswers) -> String {
        let seen = |range: &dyn Fn(f64) -> bool| {
            let answers = loss.answers.iter().filter_map(|answers| Some((answers, answers.sensitivity?)));
            let mut chosen: Vec<_> = answers.filter(|(_, times)| range(rounded(*times))).collect();
            chosen.sort_by(|one, other| other.1.total_cmp(&one.1));
            let name = |(answers, times): (&Answers, f64)| {
                format!("{} (×{})", answers.distortion.name(), short(times))
            };
            chosen.into_iter().map(name).collect::<Vec<_>>().join(", ")
        };
        let astray = loss
            .answers
            .iter()
            .filter(|answers| answers.at_equal_error.is_some_and(|point| point.way_back < ASTRAY));
        let astray: Vec<&str> = astray.map(|answers| answers.distortion.name()).collect();
        let alike = self.agreement[number].iter().enumerate();
        let alike = alike.filter(|(other, cosine)| *other != number && **cosine > ALIKE);
        let alike: Vec<String> =
            alike.map(|(other, _)| printable(&self.losses[other].name).to_string()).collect();
        let parts = [
            ("Calls better than the photo", seen(&|times| times < -NOTHING)),
            ("Blind to", seen(&|times| (-NOTHING..BLIND).contains(&times))),
            ("Sees little of", seen(&|times| (BLIND..DULL).contains(&times))),
            ("Sees above all", seen(&|times| times > KEEN)),
            ("Its gradient does not lead back from", astray.join(", ")),
            ("Its gradient nearly equals that of", alike.join(", ")),
        ];
        let parts = parts.into_iter().filter(|(_, what)| !what.is_empty());
        let text: String = parts.map(|(begin, what)| format!(" {begin} {what}.")).collect();
        if text.is_empty() {
            " Sees everything about equally.".into()
        } else {
            text
        }
    }
}

fn two_digits(cosine: f64) -> String {
    format!("{cosine:.2}")
}
