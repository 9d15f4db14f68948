//! Logs that go on, and several runs in one log.

use super::*;

// ---- going on --------------------------------------------------------------------------------------------

#[test]
fn opened_again_it_goes_on_as_if_never_closed() {
    let place = Place::new();
    for step in 0..STEPS {
        append(&mut LossLog::open(&place.log, &run()).unwrap(), step, step + 1);
    }
    assert_eq!(place.bytes(), whole());
}

#[test]
fn resumed_it_becomes_the_log_of_an_uninterrupted_run() {
    let whole = whole();
    for step in 0..STEPS {
        let place = Place::with(&whole);
        let mut log = LossLog::resume(&place.log, &run(), step).unwrap();
        assert!(place.bytes().len() < whole.len() || step == STEPS - 1);
        let kept = LoggedRun::read(&place.log).unwrap();
        assert_same(&kept.losses, &curves(&(0..=step).map(computed).collect::<Vec<_>>()));
        append(&mut log, step + 1, STEPS);
        assert_eq!(place.bytes(), whole, "{step}");
    }
    // One call for all.
    let place = Place::new();
    let records: Vec<Record> = (0..STEPS).flat_map(computed).collect();
    LossLog::open(&place.log, &run()).unwrap().append(&records).unwrap();
    assert_eq!(place.bytes(), whole);
}

/// A damaged line that is cut off is no hindrance.
#[test]
fn what_comes_after_the_cut_need_not_be_right() {
    let whole = whole();
    let kept = lines(&whole)[..7].concat();
    let damaged = [&kept, &b"damage\n"[..]].concat();
    let last = *LoggedRun::read(Place::with(kept).log).unwrap().losses["G_L1"].steps.last().unwrap();
    let place = Place::with(&damaged);
    let mut log = LossLog::resume(&place.log, &run(), last - 1).unwrap();
    append(&mut log, last, STEPS);
    assert_eq!(place.bytes(), whole);
    assert_refused(&damaged, 8, "must be a JSON object");
}

// ---- several runs ----------------------------------------------------------------------------------------

/// The same step, computed another time.
fn again(step: u64) -> Vec<Record> {
    let mut records = computed(step);
    records.iter_mut().for_each(|record| record.value += 1000.0);
    records
}

fn runs(place: &Place) -> Vec<IndexMap<String, LossCurve>> {
    let runs = LoggedRun::read_all(&place.log).unwrap();
    assert_eq!(format!("{:?}", LoggedRun::read(&place.log).unwrap()), format!("{:?}", runs.last().unwrap()));
    runs.into_iter().map(|run| run.losses).collect()
}

fn assert_runs(place: &Place, expected: &[Vec<Vec<Record>>]) {
    let found = runs(place);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_same(found, &curves(expected));
    }
}

#[test]
fn a_run_that_begins_anew_is_another_one() {
    let first: Vec<Vec<Record>> = (0..STEPS).map(computed).collect();
    let second: Vec<Vec<Record>> = (0..4).map(again).collect();
    let place = Place::with(whole());
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    second.iter().for_each(|records| log.append(records).unwrap());
    assert_runs(&place, &[first.clone(), second.clone()]);
    drop(log);
    // Opened again, the second one goes on.
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 4, 6);
    let longer: Vec<Vec<Record>> = second.iter().cloned().chain((4..6).map(computed)).collect();
    assert_runs(&place, &[first.clone(), longer.clone()]);
    // A third one, elsewhere, with other losses and a single step.
    let elsewhere = RunInfo { device: "cuda:1".into(), ..run() };
    let third = vec![vec![record("other", &["O"], (0, 0), 1.0, 2.0)]];
    LossLog::open(&place.log, &elsewhere).unwrap().append(&third[0]).unwrap();
    assert_runs(&place, &[first.clone(), longer, third]);
    let described = LoggedRun::read_all(&place.log).unwrap();
    assert_eq!(
        described.iter().map(|run| run.run.device.as_str()).collect::<Vec<_>>(),
        ["cpu", "cpu", "cuda:1"]
    );

    // Without having been opened again: what two writers wrote, one behind the other.
    let place = Place::with(whole());
    let bytes =
        [whole(), lines(&whole()).into_iter().filter(|line| is_step(line)).collect::<Vec<_>>().concat()];
    place.write(bytes.concat());
    assert_runs(&place, &[first.clone(), first]);
}

/// Other losses alone do not make another run: they may be those of a validation, at the step of its epoch.
#[test]
fn a_loss_may_lag_behind_the_others() {
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    let mut calls = Vec::new();
    for epoch in 0..3 {
        for step in 10 * epoch..10 * (epoch + 1) {
            calls.push(vec![record("train", &[], (epoch, step), step as f64, 1.0)]);
        }
        calls.push(vec![record("val", &[], (epoch, 10 * epoch), 0.5, 1.0)]);
    }
    calls.iter().for_each(|records| log.append(records).unwrap());
    assert_runs(&place, &[calls]);
}

/// A training that was interrupted, and goes on from its checkpoint without `resume`.
#[test]
fn steps_that_are_repeated_after_an_interruption_count_once() {
    for (interrupted, from) in [(STEPS, 4), (STEPS, STEPS - 1), (5, 1)] {
        let place = Place::new();
        append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, interrupted);
        let mut log = LossLog::open(&place.log, &run()).unwrap();
        (from..12).for_each(|step| log.append(&again(step)).unwrap());
        assert_runs(&place, &[(0..from).map(computed).chain((from..12).map(again)).collect()]);
        // Nothing of it was taken from the file.
        let first = lines(&whole())[..interrupted as usize].concat();
        assert!(place.bytes().starts_with(&first));
    }
    // Within a process.
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    append(&mut log, 0, 8);
    (3..6).for_each(|step| log.append(&again(step)).unwrap());
    assert_runs(&place, &[(0..3).map(computed).chain((3..6).map(again)).collect()]);
    let left_out = (3..8).flat_map(computed).count();
    assert_eq!(LoggedRun::read(&place.log).unwrap().repeated, left_out);
}

/// At the step of the checkpoint there may be a validation that it contains, and that does not come again.
#[test]
fn what_was_computed_where_the_run_goes_on_stays() {
    let train = |step| vec![record("train", &[], (0, step), step as f64, 1.0)];
    let val = |step| vec![record("val", &[], (0, step), step as f64, 1.0)];
    for interrupted in [10, 13] {
        let place = Place::new();
        let mut log = LossLog::open(&place.log, &run()).unwrap();
        // After ten steps, the validation.
        let before = (0..10).map(train).chain([val(10)]);
        before.clone().chain((10..interrupted).map(train)).for_each(|records| log.append(&records).unwrap());
        drop(log);
        let mut log = LossLog::open(&place.log, &run()).unwrap();
        let after = (10..20).map(train).chain([val(20)]);
        after.clone().for_each(|records| log.append(&records).unwrap());
        assert_runs(&place, &[before.chain(after).collect()]);
    }
}

#[test]
fn steps_may_be_counted_within_the_epoch() {
    let at = |epoch, step| vec![record("L", &[], (epoch, step), (10 * epoch + step) as f64, 1.0)];
    let epochs =
        |range: std::ops::Range<u64>| range.flat_map(|epoch| (0..5).map(move |step| at(epoch, step)));
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    epochs(0..3).for_each(|records| log.append(&records).unwrap());
    log.append(&at(3, 0)).unwrap();
    drop(log);
    // From the checkpoint of the second epoch.
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    epochs(2..4).for_each(|records| log.append(&records).unwrap());
    assert_runs(&place, &[epochs(0..4).collect()]);
    drop(log);
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    epochs(0..1).for_each(|records| log.append(&records).unwrap());
    assert_runs(&place, &[epochs(0..4).collect(), epochs(0..1).collect()]);
}

#[test]
fn resuming_is_about_the_last_run() {
    let place = Place::new();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, STEPS);
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    (0..5).for_each(|step| log.append(&again(step)).unwrap());
    let uninterrupted = place.bytes();
    (5..7).for_each(|step| log.append(&computed(step)).unwrap());
    drop(log);
    let longer = place.bytes();
    for step in 4..6 {
        place.write(&longer);
        let mut log = LossLog::resume(&place.log, &run(), step).unwrap();
        assert!(step != 4 || place.bytes() == uninterrupted);
        append(&mut log, step + 1, 7);
        assert_eq!(place.bytes(), longer);
    }
    // From a part that a later one has replaced: the later one counts.
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 3, 9);
    let second: Vec<Vec<Record>> = (0..3).map(again).chain((3..9).map(computed)).collect();
    let mut log = LossLog::resume(&place.log, &run(), 6).unwrap();
    assert_runs(&place, &[(0..STEPS).map(computed).collect(), second[..7].to_vec()]);
    append(&mut log, 7, 9);
    assert_runs(&place, &[(0..STEPS).map(computed).collect(), second]);
}

/// From a checkpoint before the first step: nothing is left of the last run, and everything of the one before.
#[test]
fn resuming_before_the_first_step_leaves_the_other_runs() {
    let place = Place::new();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 1, STEPS);
    let first = place.bytes();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 1, 5);
    let mut log = LossLog::resume(&place.log, &run(), 0).unwrap();
    assert_eq!(place.bytes(), first);
    append(&mut log, 1, 3);
    assert_runs(&place, &[(1..STEPS).map(computed).collect(), (1..3).map(computed).collect()]);
}

/// Where the damage is not in the part that is cut off, nothing is.
#[test]
fn damage_before_the_last_run_is_an_error() {
    let whole = whole();
    let damaged = [&lines(&whole)[..7].concat(), &b"damage\n"[..], &lines(&whole)[1..].concat()].concat();
    let place = Place::with(&damaged);
    assert_damage(LossLog::resume(&place.log, &run(), 1), &place, 8, "a line must be");
    assert_eq!(place.bytes(), damaged);
}

#[test]
fn cut_anywhere_it_is_mended() {
    let whole = whole();
    let place = Place::new();
    for length in 0..=whole.len() {
        place.write(&whole[..length]);
        // The steps that are there in full.
        let found = lines(&whole[..length]).into_iter().filter(|line| is_step(line)).count();
        let (mut count, mut step) = (0, 0);
        while count < found {
            count += 1 + usize::from(step % 3 == 2);
            step += 1;
        }
        let read = LoggedRun::read(&place.log);
        if length < lines(&whole)[0].len() {
            assert_damage(read, &place, 1, "not finished");
        } else if count == found {
            assert_same(&read.unwrap().losses, &curves(&(0..step).map(computed).collect::<Vec<_>>()));
        } else {
            // Within a step of two lines.
            step -= 1;
            assert_eq!(read.unwrap().losses["G_L1"].steps.last(), Some(&step));
        }
        let mut log = match step {
            0 => LossLog::open(&place.log, &run()).unwrap(),
            _ => LossLog::resume(&place.log, &run(), step - 1).unwrap(),
        };
        assert!(place.bytes().ends_with(b"\n"), "{length}");
        append(&mut log, step, STEPS);
        assert_eq!(place.bytes(), whole, "{length}");
    }
}

/// Without `resume`, nothing goes but the part of a line, and declarations at the end that are written again.
#[test]
fn opening_keeps_every_whole_record() {
    let (whole, place) = (whole(), Place::new());
    for length in 0..whole.len() {
        place.write(&whole[..length]);
        drop(LossLog::open(&place.log, &run()).unwrap());
        let mut kept = lines(&whole[..length]);
        while kept.len() > 1 && !kept.last().is_some_and(|line| is_step(line)) {
            kept.pop();
        }
        let header = lines(&whole)[0];
        let expected = if length < header.len() { header.to_vec() } else { kept.concat() };
        assert_eq!(place.bytes(), expected, "{length}");
    }
}

#[test]
fn another_description_is_noted() {
    let place = Place::new();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, 2);
    let elsewhere = RunInfo { device: "cuda:1".into(), ..run() };
    append(&mut LossLog::open(&place.log, &elsewhere).unwrap(), 2, 3);
    let bytes = place.bytes();
    append(&mut LossLog::open(&place.log, &elsewhere).unwrap(), 3, 4);
    assert!(place.bytes().starts_with(&bytes));
    assert_eq!(String::from_utf8(place.bytes()).unwrap().matches("tch_losses_log").count(), 2);
    let logged = LoggedRun::read(&place.log).unwrap();
    assert_eq!(logged.run, elsewhere);
    assert_eq!(logged.losses["late"].steps, [3]);
    // Cut off, and with it the note.
    append(&mut LossLog::resume(&place.log, &run(), 1).unwrap(), 2, STEPS);
    assert_eq!(place.bytes(), whole());
}

#[test]
fn another_experiment_is_an_error() {
    let place = Place::with(whole());
    let other = RunInfo { experiment: "edges".into(), ..run() };
    assert_damage(LossLog::open(&place.log, &other), &place, 1, "not \"edges\"");
    assert_damage(LossLog::resume(&place.log, &other, 0), &place, 1, "not \"edges\"");
    assert_eq!(place.bytes(), whole());
}
