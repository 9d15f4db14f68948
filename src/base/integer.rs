//! Whole numbers.

/// `a / b`, rounded up. `a` is not negative, `b` is positive.
pub(crate) fn div_ceil(a: i64, b: i64) -> i64 {
    // `a + b` could overflow.
    a / b + i64::from(a % b != 0)
}

#[cfg(test)]
mod tests {
    use super::div_ceil;

    #[test]
    fn it_rounds_up() {
        for (a, b, expected) in
            [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (6, 3, 2), (7, 1, 7), (5, i64::MAX, 1)]
        {
            assert_eq!(div_ceil(a, b), expected, "{a} / {b}");
        }
    }
}
