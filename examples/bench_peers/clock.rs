//! How long calls take.

use std::time::Instant;

use anyhow::Result;

pub type Call<'a> = Box<dyn Fn() -> Result<()> + 'a>;

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The seconds that one call takes, for each of `calls`, batch by batch: batches of about a millisecond, in turns, for
/// about `seconds`. The first batch wakes the threads, and is not counted.
pub fn alternate(calls: &[Call], seconds: f64) -> Result<Vec<Vec<f64>>> {
    let batch = |call: &Call, times: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..times {
            call()?;
        }
        Ok(start.elapsed().as_secs_f64() / times as f64)
    };
    let mut times = Vec::new();
    for call in calls {
        batch(call, 1)?;
        // The best of some: a call that the machine interrupts looks long.
        let (start, mut best) = (Instant::now(), f64::INFINITY);
        while best == f64::INFINITY || start.elapsed().as_secs_f64() < 0.01 {
            best = best.min(batch(call, 1)?);
        }
        times.push((1e-3 / best).clamp(1.0, 1000.0) as usize);
    }
    let mut taken = vec![Vec::new(); calls.len()];
    let start = Instant::now();
    while taken[0].len() < 2 || start.elapsed().as_secs_f64() < seconds {
        for (index, call) in calls.iter().enumerate() {
            taken[index].push(batch(call, times[index])?);
        }
    }
    Ok(taken.into_iter().map(|batches| batches[1..].to_vec()).collect())
}
