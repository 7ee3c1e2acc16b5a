//! Rates over the recent past, from counters that only grow.

use std::collections::VecDeque;

/// How far back a rate looks, or to the look before, if that is longer ago.
const WINDOW_MS: i64 = 10_000;

/// Looks closer together than this share a sample.
const SAMPLE_MS: i64 = 1_000;

/// What some counters have gained in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gain<const N: usize> {
    /// Length of the window, ms.
    pub(super) elapsed_ms: i64,
    /// The gain of each counter.
    pub(super) gains: [u64; N],
}

/// Samples of counters: at most one a second of the window, and one from before it.
#[derive(Debug)]
pub(super) struct Window<const N: usize> {
    samples: VecDeque<(i64, [u64; N])>,
}

impl<const N: usize> Window<N> {
    pub(super) fn new(now_ms: i64) -> Self {
        Self { samples: VecDeque::from([(now_ms, [0; N])]) }
    }

    /// What the counters, now at `totals`, have gained.
    pub(super) fn look(&mut self, now_ms: i64, totals: [u64; N]) -> Gain<N> {
        if self.samples.back().is_none_or(|(last_ms, _)| *last_ms > now_ms) {
            // The wall clock was set back: what was sampled by it says nothing now.
            *self = Self { samples: VecDeque::from([(now_ms, totals)]) };
        }
        while self.samples.get(1).is_some_and(|(sample_ms, _)| *sample_ms <= now_ms - WINDOW_MS) {
            self.samples.pop_front();
        }
        let (first_ms, before) = self.samples[0];
        if self.samples.back().is_some_and(|(last_ms, _)| now_ms - last_ms >= SAMPLE_MS) {
            self.samples.push_back((now_ms, totals));
        }
        Gain { elapsed_ms: now_ms - first_ms, gains: std::array::from_fn(|place| totals[place] - before[place]) }
    }
}

impl<const N: usize> Gain<N> {
    /// The gain of the first counter, per second.
    pub(super) fn per_second(&self) -> f64 {
        if self.elapsed_ms == 0 { 0.0 } else { self.gains[0] as f64 * 1_000.0 / self.elapsed_ms as f64 }
    }
}

impl Gain<2> {
    /// The gain of the second counter as a share of the first's, if that has gained anything.
    pub(super) fn share(&self) -> Option<f64> {
        (self.gains[0] > 0).then(|| self.gains[1] as f64 / self.gains[0] as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_steady() {
        let mut window = Window::new(0);
        assert_eq!(window.look(0, [0]).per_second(), 0.0);
        for tenth in 1..1000u64 {
            let gain = window.look(tenth as i64 * 100, [tenth * 50]);
            assert_eq!(gain.per_second(), 500.0);
            assert!(gain.elapsed_ms < WINDOW_MS + SAMPLE_MS);
            assert!(window.samples.len() <= 12);
        }
    }

    #[test]
    fn what_is_past_is_forgotten() {
        let mut window = Window::new(0);
        for second in 1..=10 {
            window.look(second * 1_000, [1_000_000]);
        }
        assert!(window.look(10_000, [1_000_000]).per_second() > 0.0);
        window.look(11_000, [1_000_000]);
        assert_eq!(window.look(12_000, [1_000_000]).per_second(), 0.0);
    }

    #[test]
    fn rare_looks_see_all_since_the_look_before() {
        let mut window = Window::new(0);
        assert_eq!(window.look(60_000, [60, 30]).share(), Some(0.5));
        assert_eq!(window.look(120_000, [120, 30]), Gain { elapsed_ms: 60_000, gains: [60, 0] });
        assert_eq!(window.look(180_000, [120, 30]).share(), None);
    }

    #[test]
    fn a_clock_that_is_set_back() {
        let mut window = Window::new(100_000);
        window.look(101_000, [10]);
        assert_eq!(window.look(50_000, [20]).per_second(), 0.0);
        assert_eq!(window.look(51_000, [30]).per_second(), 10.0);
    }
}
