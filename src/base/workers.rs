//! Work on several cores of a CPU, piece by piece.
//!
//! libtorch spreads each operation over its threads, and all wait at its end for the slowest. Where another program
//! takes a core, every operation waits for that core. A piece of work that stays on one thread from its first operation
//! to its last waits for nobody, and a thread whose core is taken leaves the next pieces to the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::no_grad;

use crate::{Error, Result};

/// The threads, and how many were asked for; none where the system gave no more. They stay: libtorch's libraries keep
/// memory for each thread that ever was.
struct Threads {
    count: usize,
    pool: Option<Arc<ThreadPool>>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads { count: 0, pool: None });

/// How many threads the caller may use: as many as libtorch would.
pub(crate) fn available() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1)
}

/// Does `work` for each number below `pieces`, in no order and without a graph.
///
/// There is a thread for each of the `workers`, which are what the threads cannot share: tensors, for one. The first
/// error ends the work.
///
/// A thread of the caller's own rayon pool does all of it: while it waited, rayon would have it begin other jobs of that
/// pool, in the middle of this one.
pub(crate) fn each<W: Send>(
    mut workers: Vec<W>,
    pieces: usize,
    work: impl Fn(&mut W, usize) -> Result<()> + Sync,
) -> Result<()> {
    let pool = match workers.len() {
        0 | 1 => None,
        _ if rayon::current_thread_index().is_some() => None,
        count => pool(count),
    };
    let Some(pool) = pool else {
        // The caller does it alone.
        let Some(worker) = workers.first_mut() else { return Ok(()) };
        return no_grad(|| (0..pieces).try_for_each(|piece| work(worker, piece)));
    };
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let (next, failure, work) = (&next, &failure, &work);
    pool.scope(|scope| {
        for mut worker in workers {
            scope.spawn(move |_| {
                let mut numbers = std::iter::from_fn(|| {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    (piece < pieces).then_some(piece)
                });
                if let Err(error) = no_grad(|| numbers.try_for_each(|piece| work(&mut worker, piece))) {
                    next.store(pieces, Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            });
        }
    });
    let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    failure.map_or(Ok(()), Err)
}

/// At least so many threads, each of which computes alone. `None` where the system gives no more.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    let mut own = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if own.count < threads {
        // As many as the next pieces may want.
        let count = threads.max(available());
        *own = Threads { count, pool: build(count).map(Arc::new) };
    }
    own.pool.clone()
}

fn build(threads: usize) -> Option<ThreadPool> {
    // libtorch gives a thread the program's number of threads when it asks for the first time. Who sets it sets the
    // thread's own number, but also that of the program's later threads: theirs is to stay what it was.
    let of_program = thread::Builder::new().spawn(tch::get_num_threads).ok()?.join().ok()?;
    let alone = |_| {
        tch::get_num_threads();
        tch::set_num_threads(1);
    };
    let name = |index| format!("tch-losses {index}");
    let built = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).start_handler(alone).build();
    if let Ok(pool) = &built {
        // All of them have begun.
        pool.broadcast(|_| ());
    }
    let restore = move || tch::set_num_threads(of_program);
    match thread::Builder::new().spawn(restore) {
        Ok(restoring) => restoring.join().ok()?,
        // The caller's own number is hardly another.
        Err(_) => restore(),
    }
    built.ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::thread;

    use super::each;
    use crate::Error;

    fn failure(piece: usize) -> Error {
        Error::Option { option: "piece", given: piece.to_string(), expected: "another".into() }
    }

    #[test]
    fn every_piece_is_worked_on_once() {
        for workers in [1, 2, 3, 8] {
            for pieces in [0, 1, 2, 7, 100] {
                let seen = Mutex::new(Vec::new());
                each((0..workers).collect(), pieces, |_, piece| {
                    seen.lock().unwrap().push(piece);
                    Ok(())
                })
                .unwrap();
                let mut seen = seen.into_inner().unwrap();
                seen.sort_unstable();
                assert_eq!(seen, (0..pieces).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        for workers in [1, 4] {
            let error = each((0..workers).collect(), 1000, |_, piece| match piece {
                3 => Err(failure(piece)),
                _ => Ok(()),
            });
            assert_eq!(error.unwrap_err().to_string(), failure(3).to_string());
        }
    }

    /// Jobs that wait for each other's lock would wait forever if a thread began one in the middle of another.
    #[test]
    fn within_rayon() {
        let one = Mutex::new(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        pool.scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|_| {
                    let mut sum = one.lock().unwrap();
                    let total = Mutex::new(0);
                    each(vec![0; 4], 100, |_, piece| {
                        *total.lock().unwrap() += piece;
                        Ok(())
                    })
                    .unwrap();
                    *sum += total.into_inner().unwrap();
                });
            }
        });
        assert_eq!(one.into_inner().unwrap(), 16 * 4950);
    }

    /// Each thread computes alone, and the caller's number of threads stays.
    #[test]
    fn the_threads_of_libtorch() {
        // Three, whatever the machine has: the number belongs to this thread.
        thread::spawn(|| {
            // The first time, libtorch gives a thread the program's number.
            tch::get_num_threads();
            tch::set_num_threads(3);
            let numbers = Mutex::new(HashSet::new());
            let number = |_: &mut i32, _| {
                numbers.lock().unwrap().insert(tch::get_num_threads());
                Ok(())
            };
            each(vec![0; 9], 100, number).unwrap();
            assert_eq!(numbers.into_inner().unwrap(), HashSet::from([1]));
            assert_eq!(tch::get_num_threads(), 3);
        })
        .join()
        .unwrap();
    }
}
