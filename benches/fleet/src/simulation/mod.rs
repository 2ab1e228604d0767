//! A fleet of Pods that wait for one target, played event by event. Its clock counts nanoseconds, and its random numbers have
//! a fixed seed, so every run gives the same figures.

pub(crate) mod rules;
pub(crate) mod target;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rules::{Rule, Waiter};
use target::{Answer, Target};

/// Attempts are counted in bins of this length.
pub(crate) const BIN: Duration = Duration::from_millis(100);

/// No run is longer.
const END: Duration = Duration::from_secs(3600);

/// A fleet: how many Pods, by which rule they wait, and over how long a time they start.
#[derive(Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) pods: u32,
    pub(crate) rule: Rule,
    pub(crate) spread: Duration,
}

/// What a fleet did.
pub(crate) struct Outcome {
    /// Attempts in each bin, until the target was ready.
    pub(crate) attempts: Vec<u32>,
    /// DNS queries in each bin, until the target was ready.
    pub(crate) queries: Vec<u32>,
    /// When the target became ready.
    pub(crate) ready: Duration,
    /// For each Pod, from readiness (or from its own start, if that was later) until it saw it. In order.
    pub(crate) delays: Vec<Duration>,
    /// For each Pod, when it saw it.
    pub(crate) seen: Vec<Duration>,
}

impl Fleet {
    /// Runs the fleet until each of its Pods has seen the target ready.
    pub(crate) fn run(&self, target: &mut dyn Target) -> Outcome {
        let mut random = Random(1);
        let starts: Vec<Duration> = (0..self.pods).map(|_| random.part(self.spread)).collect();
        let mut waiters: Vec<Waiter> = starts.iter().map(|_| Waiter::new(self.rule)).collect();
        let mut due: BinaryHeap<_> = (0..self.pods).zip(&starts).map(|(pod, start)| Reverse((*start, pod))).collect();
        let (mut attempts, mut queries) = (Vec::new(), Vec::new());
        let (mut delays, mut seen) = (Vec::new(), Vec::new());
        while let Some(Reverse((now, pod))) = due.pop() {
            assert!(now < END, "the fleet does not end");
            let index = pod as usize;
            // Without this, processes that start at once would stay in step to the nanosecond.
            let noise = Duration::from_micros(500) + random.part(Duration::from_millis(1));
            match target.attempt(now, noise) {
                Answer::Ready => {
                    let ready = target.ready().unwrap_or(now);
                    delays.push((now + noise).saturating_sub(ready.max(starts[index])));
                    seen.push(now + noise);
                }
                Answer::NotReady { failure, took, accepted, queries: asked } => {
                    add(&mut attempts, now, 1);
                    add(&mut queries, now, waiters[index].queries(now, asked));
                    due.push(Reverse((now + waiters[index].after(&failure, took, accepted, &mut random), pod)));
                }
            }
        }
        let ready = target.ready().unwrap_or_default();
        let bins = bin(ready);
        attempts.resize(bins, 0);
        queries.resize(bins, 0);
        delays.sort_unstable();
        Outcome { attempts, queries, ready, delays, seen }
    }
}

impl Outcome {
    /// The delay that this share of the Pods (in percent) does not exceed.
    pub(crate) fn delay(&self, percent: usize) -> Duration {
        self.delays[(self.delays.len() * percent / 100).min(self.delays.len() - 1)]
    }

    /// Attempts from `from` until the target was ready, for each second.
    pub(crate) fn attempts_per_second(&self, from: Duration) -> f64 {
        per_second(&self.attempts[bin(from)..])
    }

    /// The same for DNS queries.
    pub(crate) fn queries_per_second(&self, from: Duration) -> f64 {
        per_second(&self.queries[bin(from)..])
    }

    /// The busiest bin from `from` until the target was ready, as a multiple of the mean.
    pub(crate) fn peak_over_mean(&self, from: Duration) -> f64 {
        let bins = &self.attempts[bin(from)..];
        f64::from(*bins.iter().max().unwrap_or(&0)) * bins.len() as f64 / f64::from(bins.iter().sum::<u32>())
    }

    /// When the application of each Pod starts, if the gates were told `--settle`.
    pub(crate) fn released(&self, settle: Duration) -> Vec<Duration> {
        let mut random = Random(2);
        self.seen.iter().map(|seen| *seen + random.part(settle)).collect()
    }
}

/// The bin of a time.
pub(crate) fn bin(at: Duration) -> usize {
    usize::try_from(at.as_nanos() / BIN.as_nanos()).expect("a run ends")
}

/// How many of these times are in each bin from `from` on.
pub(crate) fn bins(times: &[Duration], from: Duration) -> Vec<u32> {
    let mut bins = Vec::new();
    for time in times {
        add(&mut bins, time.saturating_sub(from), 1);
    }
    bins
}

fn add(bins: &mut Vec<u32>, at: Duration, count: u32) {
    let at = bin(at);
    if bins.len() <= at {
        bins.resize(at + 1, 0);
    }
    bins[at] += count;
}

fn per_second(bins: &[u32]) -> f64 {
    f64::from(bins.iter().sum::<u32>()) / (bins.len() as f64 * BIN.as_secs_f64())
}

/// Random numbers (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random part of `whole`, uniform.
    pub(crate) fn part(&mut self, whole: Duration) -> Duration {
        let part = (u128::from(self.bits()) * whole.as_nanos()) >> 64;
        Duration::from_nanos(u64::try_from(part).expect("below the whole"))
    }
}
