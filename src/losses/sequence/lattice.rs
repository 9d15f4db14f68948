//! The lattices of a transducer: all alignments of a sequence's frames with its labels.
//!
//! A node `(t, u)` has read t frames and written u labels. A blank leads from `(t, u)` to `(t + 1, u)`, a label to
//! `(t, u + 1)`. A path is an alignment, and its log-probability the sum of those of its edges.
//!
//! The nodes of an anti-diagonal, with one sum `t + u`, depend on the one before alone. A batch takes `T + U` steps,
//! each with all sequences. The way back is the same recursion on the reversed lattice, and takes the same steps.

use tch::{Device, Kind, Tensor};

use crate::base::tensor::{on_device, scalar};
use crate::Result;

/// The lengths of the sequences of a batch, `[B]` on the device, and the longest that there is room for.
pub(super) struct Lengths {
    frames: Tensor,
    labels: Tensor,
    most_frames: i64,
    most_labels: i64,
}

impl Lengths {
    pub fn new(
        (frames, most_frames): (&[i64], i64),
        (labels, most_labels): (&[i64], i64),
        device: Device,
    ) -> Result<Lengths> {
        let placed = |lengths| on_device(&Tensor::f_from_slice(lengths)?, device, Kind::Int64);
        Ok(Lengths { frames: placed(frames)?, labels: placed(labels)?, most_frames, most_labels })
    }

    /// Of the numbers 0 to `count` - 1 along `dim` of three, those below each sequence's length.
    fn below(lengths: &Tensor, dim: usize, count: i64, beyond: i64) -> Result<Tensor> {
        let mut size = [1i64; 3];
        size[dim] = count;
        let numbers = Tensor::f_arange(count, (Kind::Int64, lengths.device()))?.f_view(size.as_slice())?;
        let limits = lengths.f_add_scalar(beyond)?.f_view([-1i64, 1, 1].as_slice())?;
        Ok(numbers.f_lt_tensor(&limits)?)
    }

    /// Where the labels `[B, U]` are those of the sequences.
    pub fn of_labels(&self) -> Result<Tensor> {
        Ok(Self::below(&self.labels, 2, self.most_labels, 0)?.f_squeeze_dim(1)?)
    }

    /// Where the blanks `[B, T, U + 1]` are those of the sequences.
    fn of_blanks(&self) -> Result<Tensor> {
        let labels = Self::below(&self.labels, 2, self.most_labels + 1, 1)?;
        Ok(Self::below(&self.frames, 1, self.most_frames, 0)?.f_logical_and(&labels)?)
    }

    /// Where the edges of labels `[B, T, U]` are those of the sequences.
    fn of_label_edges(&self) -> Result<Tensor> {
        let labels = Self::below(&self.labels, 2, self.most_labels, 0)?;
        Ok(Self::below(&self.frames, 1, self.most_frames, 0)?.f_logical_and(&labels)?)
    }
}

/// The edges of the lattices of a batch, each with its log-probability.
///
/// All lattices have the size of the largest, `(T + 1) (U + 1)` nodes. From the end of a shorter one, a single path of
/// probability 1 leads to the last node: the blanks that follow its last label, then the labels that follow its last
/// frame. All other edges outside of it have probability 0.
pub(super) struct Lattice<'a> {
    lengths: &'a Lengths,
    /// `[B, T, U + 1]`.
    blanks: Tensor,
    /// `[B, T + 1, U]`.
    labels: Tensor,
}

/// What the way through the lattices gives.
pub(super) struct Occupancy {
    /// The log-probability of all alignments together, `[B]`.
    pub log_probability: Tensor,
    /// The probability that an alignment takes a blank, `[B, T, U + 1]`.
    pub blanks: Tensor,
    /// The probability that an alignment takes a label, `[B, T, U]`.
    pub labels: Tensor,
}

impl Lattice<'_> {
    /// From the log-probabilities of the blank `[B, T, U + 1]` and of the next label `[B, T, U]` at each node.
    pub fn new<'a>(lengths: &'a Lengths, blanks: &Tensor, labels: &Tensor) -> Result<Lattice<'a>> {
        let (never, always) = (scalar(f64::NEG_INFINITY, blanks)?, scalar(0.0, blanks)?);
        let most = lengths.most_labels;
        // In the column of the last label, the blanks outside of the lattice are those behind its last frame.
        let until = Lengths::below(&lengths.labels, 2, most + 1, 1)?;
        let behind_labels = Lengths::below(&lengths.labels, 2, most + 1, 0)?.f_logical_not()?;
        let free = never.f_where_self(&behind_labels.f_logical_and(&until)?.f_logical_not()?, &always)?;
        let blanks = blanks.f_where_self(&lengths.of_blanks()?, &free)?;
        let free = never.f_where_self(&Lengths::below(&lengths.labels, 2, most, 0)?, &always)?;
        let labels = labels.f_where_self(&lengths.of_label_edges()?, &never)?;
        let labels = Tensor::f_cat(&[&labels, &free], 1)?;
        Ok(Lattice { lengths, blanks, labels })
    }

    /// The log-probability of all alignments together, `[B]`.
    pub fn log_probability(&self) -> Result<Tensor> {
        self.last_node(&self.nodes(false)?)
    }

    /// With the probability of each edge.
    pub fn occupancy(&self) -> Result<Occupancy> {
        let [batch, frames, columns] = self.sizes();
        let nodes = self.nodes(true)?;
        let log_probability = self.last_node(&nodes)?;
        // The nodes `(t, u)` from the beginning on, and `(T - t, U - u)` from the end on.
        let row = columns + 1;
        let diagonal = 2 * batch * row;
        let strides = [row, diagonal, diagonal + 1];
        let before = nodes.f_as_strided([batch, frames, columns].as_slice(), strides.as_slice(), 1)?;
        let size = [batch, frames + 1, columns];
        let after = nodes.f_as_strided(size.as_slice(), strides.as_slice(), batch * row + 1)?;
        let after = after.f_flip([1i64, 2].as_slice())?;
        let all = log_probability.f_view([-1i64, 1, 1].as_slice())?;
        let probability = |edges: &Tensor, before: &Tensor, after: &Tensor, inside: &Tensor| {
            let mut logs = edges.f_add(before)?.f_add_(after)?.f_sub_(&all)?;
            // What leads on from a shorter lattice is no edge of it.
            logs.f_exp_()?.f_masked_fill(&inside.f_logical_not()?, 0.0)
        };
        let blanks =
            probability(&self.blanks, &before, &after.f_narrow(1, 1, frames)?, &self.lengths.of_blanks()?)?;
        let labels = probability(
            &self.labels.f_narrow(1, 0, frames)?,
            &before.f_narrow(2, 0, columns - 1)?,
            &after.f_narrow(1, 0, frames)?.f_narrow(2, 1, columns - 1)?,
            &self.lengths.of_label_edges()?,
        )?;
        Ok(Occupancy { log_probability, blanks, labels })
    }

    /// `[B, T, U + 1]`.
    fn sizes(&self) -> [i64; 3] {
        let size = self.blanks.size();
        [size[0], size[1], size[2]]
    }

    /// The log-probabilities of all paths to each node, `[T + U + 1, R, 1 + U + 1]`, by anti-diagonal, row of the batch
    /// and labels. The first column is before the first label: nothing leads from there. With `back`, the batch is
    /// followed by its reversed lattices.
    fn nodes(&self, back: bool) -> Result<Tensor> {
        let [batch, frames, columns] = self.sizes();
        let (steps, rows) = (frames + columns - 1, if back { 2 * batch } else { batch });
        let never = |size: &[i64]| {
            Tensor::f_full(size, f64::NEG_INFINITY, (self.blanks.kind(), self.blanks.device()))
        };
        let nodes = never(&[steps + 1, rows, columns + 1])?;
        let _ = nodes.f_select(0, 0)?.f_select(-1, 1)?.f_fill_(0.0)?;
        // What leads to the nodes of each diagonal but the first: labels, from the column before, and blanks.
        let edges = never(&[steps, 2, rows, columns])?;
        let diagonal = 2 * rows * columns;
        let strides = [columns, diagonal, diagonal + 1];
        let reversed = |edges: &Tensor| edges.f_flip([1i64, 2].as_slice());
        for half in 0..if back { 2 } else { 1 } {
            let (blanks, labels) = match half {
                0 => (self.blanks.shallow_clone(), self.labels.shallow_clone()),
                _ => (reversed(&self.blanks)?, reversed(&self.labels)?),
            };
            let start = half * batch * columns;
            let place = |edges_of: &Tensor, offset: i64| {
                let mut place = edges.f_as_strided(edges_of.size(), strides.as_slice(), offset)?;
                place.f_copy_(edges_of)
            };
            place(&blanks, start + rows * columns)?;
            if columns > 1 {
                place(&labels, start + 1)?;
            }
        }
        // Both ways to a node, side by side.
        let strides = [rows * (columns + 1), 1, columns + 1, 1];
        let from = nodes.f_as_strided([steps, 2, rows, columns].as_slice(), strides.as_slice(), 0)?;
        let to = nodes.f_narrow(-1, 1, columns)?.f_narrow(0, 1, steps)?;
        let paths = Tensor::f_empty_like(&edges.f_select(0, 0)?)?;
        let (by_label, by_blank) = (paths.f_select(0, 0)?, paths.f_select(0, 1)?);
        for ((from, edges), to) in from.f_unbind(0)?.iter().zip(edges.f_unbind(0)?).zip(to.f_unbind(0)?) {
            let _ = from.f_add_out(&paths, &edges)?;
            let _ = by_label.f_logaddexp_out(&to, &by_blank)?;
        }
        Ok(nodes)
    }

    fn last_node(&self, nodes: &Tensor) -> Result<Tensor> {
        let [batch, _, columns] = self.sizes();
        // Not a view: the nodes are large.
        Ok(nodes.f_select(0, -1)?.f_narrow(0, 0, batch)?.f_select(-1, columns)?.f_contiguous()?)
    }
}
