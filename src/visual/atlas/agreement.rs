//! The matrix of the gradients' agreement.

use image::RgbImage;

use super::grid::{cell, legend};
use super::sensitivity::photos;
use super::Atlas;
use crate::visual::board::{Anchor, Board, ROOM};
use crate::visual::curves::{escaped, shortened, INK, MARGIN, SMALL};

const NAMES: f64 = 196.0;
const HIGHEST_ROW: f64 = 29.0;

impl Atlas {
    /// The matrix of the agreement of gradients, as a page. Losses that agree stand side by side.
    pub fn draw_agreement(&self) -> RgbImage {
        let mut board = Board::new(
            "Which losses pull the same way",
            "The cosine between the gradients of two losses, in hundredths. Losses that agree stand side by side.",
        );
        let order = order(&self.agreement);
        let side = ((ROOM - NAMES) / order.len() as f64).min(HIGHEST_ROW);
        let size = (0.42 * side).min(SMALL);
        let left = MARGIN + NAMES;
        let top = board.bottom + 18.0 + NAMES;
        for (number, loss) in order.iter().enumerate() {
            let name = shortened(&self.losses[*loss].name, SMALL, NAMES - 10.0);
            let along = (number as f64 + 0.5) * side + 4.5;
            board.text((left - 8.0, top + along), &name, SMALL, INK, Anchor::End);
            let (x, y) = (left + along, top - 8.0);
            board.svg += &format!(
                r#"<text transform="translate({x:.1} {y:.1}) rotate(-90)" fill="{INK}" font-size="{SMALL}">{}</text>"#,
                escaped(&name)
            );
            for (column, other) in order.iter().enumerate() {
                let cosine = self.agreement[*loss][*other];
                let text = format!("{:.0}", 100.0 * cosine).replace("-0", "0");
                let corner = (left + column as f64 * side, top + number as f64 * side);
                cell(&mut board, corner, (side - 1.0, side - 1.0), Some(cosine), (&text, size));
            }
        }
        board.bottom = top + order.len() as f64 * side;
        legend(
            &mut board,
            left,
            &["-1", "-0.5", "0", "0.5", "1"],
            "cosine: 1 the same way, 0 across, -1 against each other",
        );
        let photos = photos(self.photos);
        board.render(&[&format!(
            "Mean over nine distortions of {photos}, each at the strength at which the root of the mean squared difference is {}.",
            self.error
        )])
    }
}

/// The order of the leaves of a tree that joins the two groups with the largest mean agreement again and again.
fn order(agreement: &[Vec<f64>]) -> Vec<usize> {
    let mut groups: Vec<Vec<usize>> = (0..agreement.len()).map(|leaf| vec![leaf]).collect();
    let mean = |one: &[usize], other: &[usize]| {
        let all = one.iter().flat_map(|row| other.iter().map(|column| agreement[*row][*column]));
        all.sum::<f64>() / (one.len() * other.len()) as f64
    };
    while groups.len() > 1 {
        let (mut best, mut nearest) = ((0, 1), f64::NEG_INFINITY);
        for one in 0..groups.len() {
            for other in one + 1..groups.len() {
                let found = mean(&groups[one], &groups[other]);
                if found > nearest {
                    (best, nearest) = ((one, other), found);
                }
            }
        }
        let (mut second, mut first) = (groups.remove(best.1), groups[best.0].clone());
        // The ends that agree most meet.
        let end = |group: &[usize], last: bool| if last { group[group.len() - 1] } else { group[0] };
        let meeting = [(true, false), (true, true), (false, false), (false, true)];
        let closeness = |(one, other): (bool, bool)| agreement[end(&first, one)][end(&second, other)];
        let (of_first, of_second) = meeting
            .into_iter()
            .reduce(|a, b| if closeness(b) > closeness(a) { b } else { a })
            .expect("four of them");
        if !of_first {
            first.reverse();
        }
        if of_second {
            second.reverse();
        }
        first.extend(second);
        groups[best.0] = first;
    }
    groups.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn what_agrees_stands_side_by_side() {
        // Points on a line: the nearer, the more they agree.
        let places: [f64; 5] = [3.0, 0.0, 9.0, 1.0, 8.5];
        let row = |one: &f64| places.iter().map(|other| -(one - other).abs()).collect();
        let agreement: Vec<Vec<f64>> = places.iter().map(row).collect();
        let mut found = order(&agreement);
        if found[0] != 1 {
            found.reverse();
        }
        assert_eq!(found, [1, 3, 0, 4, 2]);
        assert_eq!(order(&[]), [0usize; 0]);
    }
}
