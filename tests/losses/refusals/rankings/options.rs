//! Options that are out of their ranges.

use super::*;

#[test]
fn options() {
    let (input, target) = (zeros(&[2, 3]), zeros(&[2, 3]));
    let labels = zeros(&[2]);
    let reduction = Reduction::BatchMean;
    let expected = "option `reduction` is batchmean, expected none, mean or sum";
    let losses: [(Box<dyn Loss>, &Tensor); 5] = [
        (Box::new(HingeEmbeddingLoss { reduction, ..Default::default() }), &target),
        (Box::new(SoftMarginLoss { reduction }), &target),
        (Box::new(MultiMarginLoss { reduction, ..Default::default() }), &labels),
        (Box::new(MultiLabelMarginLoss { reduction }), &target),
        (Box::new(MultiLabelSoftMarginLoss { reduction, ..Default::default() }), &target),
    ];
    for (loss, target) in losses {
        assert_eq!(message_of(loss.try_forward(&input, target)), expected);
    }
    let triplet = |loss: TripletMarginLoss| message_of(loss.try_forward(&input, &input, &input));
    let with_distance =
        |loss: TripletMarginWithDistanceLoss| message_of(loss.try_forward(&input, &input, &input));
    let ranking = |loss: MarginRankingLoss| message_of(loss.try_forward(&input, &input, &target));
    let cosine = |loss: CosineEmbeddingLoss| message_of(loss.try_forward(&input, &input, &labels));
    assert_eq!(triplet(TripletMarginLoss { reduction, ..Default::default() }), expected);
    assert_eq!(with_distance(TripletMarginWithDistanceLoss { reduction, ..Default::default() }), expected);
    assert_eq!(ranking(MarginRankingLoss { reduction, ..Default::default() }), expected);
    assert_eq!(cosine(CosineEmbeddingLoss { reduction, ..Default::default() }), expected);
    let loss = CtcLoss { reduction, ..Default::default() };
    let refusal = loss.try_forward(&zeros(&[5, 2, 3]), &indices(&[2, 2]), &[5, 5], &[2, 2]);
    assert_eq!(message_of(refusal), expected);

    for (margin, given) in [(f64::NAN, "NaN"), (f64::NEG_INFINITY, "-inf")] {
        let expected = format!("option `margin` is {given}, expected a finite number");
        let hinge = HingeEmbeddingLoss { margin, ..Default::default() };
        assert_eq!(message_of(hinge.try_forward(&input, &target)), expected);
        let multi = MultiMarginLoss { margin, ..Default::default() };
        assert_eq!(message_of(multi.try_forward(&input, &labels)), expected);
        assert_eq!(ranking(MarginRankingLoss { margin, ..Default::default() }), expected);
        assert_eq!(cosine(CosineEmbeddingLoss { margin, ..Default::default() }), expected);
    }
    for (margin, given) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let expected = format!("option `margin` is {given}, expected a finite number greater than 0");
        assert_eq!(triplet(TripletMarginLoss { margin, ..Default::default() }), expected);
        assert_eq!(with_distance(TripletMarginWithDistanceLoss { margin, ..Default::default() }), expected);
    }
    for (eps, given) in [(-1e-6, "-0.000001"), (f64::NAN, "NaN")] {
        let expected = format!("option `eps` is {given}, expected a finite number, 0 or more");
        assert_eq!(triplet(TripletMarginLoss { eps, ..Default::default() }), expected);
    }
    let expected = "option `p` is NaN, expected the degree of a norm";
    assert_eq!(triplet(TripletMarginLoss { p: f64::NAN, ..Default::default() }), expected);
    for p in [0, 3, -1] {
        let loss = MultiMarginLoss { p, ..Default::default() };
        let refusal = message_of(loss.try_forward(&input, &labels));
        assert_eq!(refusal, format!("option `p` is {p}, expected 1 or 2"));
    }
    for (blank, range) in [(-1, "0 or more"), (3, "0 to 2")] {
        let loss = CtcLoss { blank, ..Default::default() };
        let refusal = loss.try_forward(&zeros(&[5, 2, 3]), &indices(&[2, 2]), &[5, 5], &[2, 2]);
        let expected = format!("option `blank` is {blank}, expected {range}, a class of `log_probs`");
        assert_eq!(message_of(refusal), expected);
    }
}
