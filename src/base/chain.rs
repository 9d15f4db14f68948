//! Losses that libtorch computes by a chain of operations.
//!
//! Each operation of a chain goes through all of its numbers, forward and back. In pieces, its numbers are still in the
//! cache when the next one reads them. The pieces are in libtorch's graph, so the gradients and their gradients are libtorch's.

use tch::{Device, Kind, Tensor};

use super::gradient::{numbers_at_once, pieces};
use super::heap::keep_freed_blocks;
use crate::{Reduction, Result};

/// A loss of single numbers, one for each element. Arguments of one shape are worked on in pieces.
pub(crate) fn of_numbers<const N: usize>(
    arguments: [&Tensor; N],
    reduction: Reduction,
    chain: impl Fn([&Tensor; N], Reduction) -> Result<Tensor>,
) -> Result<Tensor> {
    let alike = |tensor: &&Tensor| tensor.is_contiguous() && tensor.size() == arguments[0].size();
    if !is_cut(arguments[0], reduction) || !arguments.iter().all(alike) {
        return chain(arguments, reduction);
    }
    let mut flat = arguments.map(Tensor::shallow_clone);
    for tensor in &mut flat {
        *tensor = tensor.f_view([-1i64].as_slice())?;
    }
    in_pieces(flat.each_ref(), reduction, chain)
}

/// A loss of rows, one for each: of vectors `[N, D]`, and of numbers `[N]`. The first argument holds vectors. Arguments of
/// as many rows are worked on in pieces.
pub(crate) fn of_rows<const N: usize>(
    arguments: [&Tensor; N],
    reduction: Reduction,
    chain: impl Fn([&Tensor; N], Reduction) -> Result<Tensor>,
) -> Result<Tensor> {
    let shape = arguments[0].size();
    let alike = |tensor: &&Tensor| tensor.size() == shape || tensor.size() == shape[..1];
    if !is_cut(arguments[0], reduction) || shape.len() != 2 || !arguments.iter().all(alike) {
        return chain(arguments, reduction);
    }
    in_pieces(arguments, reduction, chain)
}

/// Whether arguments like this one are worked on in pieces: they are longer than a piece. The half kinds would round the sum
/// of each piece.
fn is_cut(argument: &Tensor, reduction: Reduction) -> bool {
    argument.device() == Device::Cpu
        && matches!(argument.kind(), Kind::Float | Kind::Double)
        && reduction != Reduction::None
        && argument.numel() as i64 > numbers_at_once(Device::Cpu, 1)
}

/// Of arguments with one first size, which is the number of losses. The mean over the batch is the caller's: it gets the sum.
fn in_pieces<const N: usize>(
    arguments: [&Tensor; N],
    reduction: Reduction,
    chain: impl Fn([&Tensor; N], Reduction) -> Result<Tensor>,
) -> Result<Tensor> {
    keep_freed_blocks();
    let count = arguments[0].size()[0];
    let at_once = numbers_at_once(Device::Cpu, arguments[0].numel() as i64 / count);
    let lengths: Vec<i64> = pieces(count, at_once).map(|(_, length)| length).collect();
    let mut cut = [const { Vec::new() }; N];
    for (pieces, tensor) in cut.iter_mut().zip(arguments) {
        // All at once, so that backward puts the gradient together once.
        *pieces = tensor.f_split_with_sizes(lengths.as_slice(), 0)?;
    }
    let sum = |piece| chain(cut.each_ref().map(|pieces| &pieces[piece]), Reduction::Sum);
    let sum = Tensor::f_stack(&(0..lengths.len()).map(sum).collect::<Result<Vec<_>>>()?, 0)?.f_sum(None)?;
    Ok(match reduction {
        Reduction::Mean => sum.f_div_scalar(count)?,
        _ => sum,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tch::{Device, Kind, Tensor};

    use super::{numbers_at_once, of_numbers, of_rows};
    use crate::Reduction;

    fn zeros(shape: &[i64], kind: Kind) -> Tensor {
        Tensor::zeros(shape, (kind, Device::Cpu))
    }

    /// The shapes that the chain gets.
    fn lengths(shape: &[i64], kind: Kind, rows: bool, reduction: Reduction, turned: bool) -> Vec<Vec<i64>> {
        let tensor = zeros(shape, kind);
        let tensor = if turned { tensor.transpose(0, 1) } else { tensor };
        let seen = RefCell::new(Vec::new());
        let chain = |[first, second]: [&Tensor; 2], of_piece: Reduction| {
            seen.borrow_mut().push(first.size());
            assert_eq!(first.size()[0], second.size()[0]);
            Ok(match of_piece {
                Reduction::None => first.shallow_clone(),
                _ => first.f_sum(None)?,
            })
        };
        let labels = if rows { zeros(&tensor.size()[..1], Kind::Int64) } else { tensor.shallow_clone() };
        let _ = match rows {
            true => of_rows([&tensor, &labels], reduction, chain).unwrap(),
            false => of_numbers([&tensor, &labels], reduction, chain).unwrap(),
        };
        seen.into_inner()
    }

    #[test]
    fn long_arguments_are_cut_into_pieces() {
        let long = numbers_at_once(Device::Cpu, 1) + 3;
        for kind in [Kind::Float, Kind::Double] {
            for reduction in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean] {
                let pieces = lengths(&[1, long], kind, false, reduction, false);
                assert_eq!(pieces, [[long / 2], [long - long / 2]]);
                let rows = long / 8 + 1;
                for turned in [false, true] {
                    let shape = if turned { [8, rows] } else { [rows, 8] };
                    let pieces = lengths(&shape, kind, true, reduction, turned);
                    assert_eq!(pieces, [[rows / 2, 8], [rows - rows / 2, 8]]);
                }
            }
        }
    }

    #[test]
    fn others_stay_whole() {
        let long = numbers_at_once(Device::Cpu, 1) + 3;
        let whole = |kind, reduction, turned| {
            lengths(&[1, long], kind, false, reduction, turned).len() == 1
                && lengths(&[long, 1], kind, true, reduction, false).len() == 1
        };
        assert!(whole(Kind::Float, Reduction::None, false));
        assert!(whole(Kind::Half, Reduction::Mean, false));
        assert!(whole(Kind::BFloat16, Reduction::Sum, false));
        assert_eq!(lengths(&[long - 3], Kind::Float, false, Reduction::Mean, false), [[long - 3]]);
        assert_eq!(lengths(&[0, 4], Kind::Float, true, Reduction::Mean, false), [[0, 4]]);
        // Numbers in another order in memory.
        assert_eq!(lengths(&[2, long], Kind::Float, false, Reduction::Mean, true), [[long, 2]]);
    }
}
