//! Sums whose gradient is computed with them: of losses element by element, and row by row.
//!
//! If only `input` requires a gradient, the sum and the slopes are computed together, in pieces that stay in the cache.
//! Nothing is stored for `backward` but the slopes.

use tch::{no_grad, Tensor};

use super::gradient::{numbers_at_once, pieces, with_gradient, Wanted};
use super::heap::keep_freed_blocks;
use super::precision::accumulation_kind;
use crate::Result;

/// A loss of single numbers, each with a constant of its own.
pub(crate) trait Pointwise {
    /// The losses of the numbers. Works in libtorch's graph and without.
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// The losses and their slopes with respect to `input`.
    fn elements_and_slopes(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)>;
}

/// The sum of the losses of two tensors of one shape, each multiplied with its factor. In f32 at least.
pub(crate) fn sum_of_elements(
    loss: &dyn Pointwise,
    input: &Tensor,
    target: &Tensor,
    factor: Option<&Tensor>,
) -> Result<Tensor> {
    let kind = accumulation_kind(input.kind());
    let (input, target) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
    let tracked = factor.is_some_and(Tensor::requires_grad);
    if tracked || Wanted::of(&input, Some(&target))? != Wanted::InputGradient || input.numel() == 0 {
        let elements = loss.elements(&input, &target)?;
        return Ok(match factor {
            Some(factor) => elements.f_mul(factor)?.f_sum(None)?,
            None => elements.f_sum(None)?,
        });
    }
    let flat = |tensor: &Tensor| tensor.f_reshape([-1i64].as_slice());
    let mut constants = vec![flat(&target)?];
    if let Some(factor) = factor {
        constants.push(flat(&factor.f_to_kind(kind)?.f_expand_as(&input)?)?);
    }
    let input = flat(&input)?;
    let pieces = Piece::of_rows(&input);
    sum_of_pieces(&input, &constants, &pieces, &|input, constants| {
        let (elements, mut slopes) = loss.elements_and_slopes(input, &constants[0])?;
        Ok(match constants.get(1) {
            Some(factor) => ({ elements }.f_mul_(factor)?.f_sum(None)?, slopes.f_mul_(factor)?),
            None => (elements.f_sum(None)?, slopes),
        })
    })
}

/// What computes the sum of some rows, and its gradient with respect to them. It has the same rows of the constants.
type Part<'a> = dyn Fn(&Tensor, &[Tensor]) -> Result<(Tensor, Tensor)> + 'a;

/// The sum of the losses of the rows of `input`, of which there is one at least.
pub(crate) fn sum_of_rows(input: &Tensor, constants: &[Tensor], part: &Part) -> Result<Tensor> {
    sum_of_pieces(input, constants, &Piece::of_rows(input), part)
}

/// The same where a row of `input` needs so many `numbers`.
pub(crate) fn sum_of_long_rows(
    input: &Tensor,
    numbers: i64,
    constants: &[Tensor],
    part: &Part,
) -> Result<Tensor> {
    sum_of_pieces(input, constants, &Piece::of_long_rows(input, numbers), part)
}

/// The sum of the losses of the places of `input`, of which there is one at least. It is `[N, C]`, or `[N, C, P]` with
/// constants whose last axis is `P`.
pub(crate) fn sum_of_places(input: &Tensor, constants: &[Tensor], part: &Part) -> Result<Tensor> {
    sum_of_pieces(input, constants, &Piece::of_places(input), part)
}

/// A part of the first axis, and one of the last: start and length of each.
struct Piece {
    rows: (i64, i64),
    places: Option<(i64, i64)>,
}

impl Piece {
    /// Whole rows.
    fn of_rows(input: &Tensor) -> Vec<Piece> {
        Piece::of_long_rows(input, input.numel() as i64 / input.size()[0])
    }

    /// Whole rows, of which each needs so many `numbers`.
    fn of_long_rows(input: &Tensor, numbers: i64) -> Vec<Piece> {
        let most = numbers_at_once(input.device(), numbers.max(1));
        pieces(input.size()[0], most).map(|rows| Piece { rows, places: None }).collect()
    }

    /// The same, and rows are cut that have more places than are worked on at a time.
    fn of_places(input: &Tensor) -> Vec<Piece> {
        let size = input.size();
        let of_classes = numbers_at_once(input.device(), size[1]);
        if size.len() == 2 || size[2] <= of_classes {
            return Piece::of_rows(input);
        }
        let of_row = |row| {
            pieces(size[2], of_classes).map(move |places| Piece { rows: (row, 1), places: Some(places) })
        };
        (0..size[0]).flat_map(of_row).collect()
    }

    fn of(&self, tensor: &Tensor) -> Result<Tensor> {
        let (start, length) = self.rows;
        let rows = tensor.f_narrow(0, start, length)?;
        Ok(match self.places {
            Some((start, length)) => rows.f_narrow(-1, start, length)?,
            None => rows,
        })
    }
}

fn sum_of_pieces(input: &Tensor, constants: &[Tensor], pieces: &[Piece], part: &Part) -> Result<Tensor> {
    keep_freed_blocks();
    let detached = input.f_detach()?;
    let (sum, gradient) = no_grad(|| -> Result<(Tensor, Tensor)> {
        if pieces.len() == 1 {
            return part(&detached, constants);
        }
        let gradient = Tensor::f_empty(input.size(), (input.kind(), input.device()))?;
        let mut sums = Vec::new();
        for piece in pieces {
            let constants = constants.iter().map(|tensor| piece.of(tensor)).collect::<Result<Vec<_>>>()?;
            let (sum, slopes) = part(&piece.of(&detached)?, &constants)?;
            piece.of(&gradient)?.f_copy_(&slopes)?;
            sums.push(sum);
        }
        Ok((Tensor::f_stack(&sums, 0)?.f_sum(None)?, gradient))
    })?;
    with_gradient(&sum, input, &gradient, 1.0)
}
