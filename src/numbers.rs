//! Random numbers for tests whose properties must hold for any of them.
//!
//! The seed comes from the system and is printed, so a failed test shows it. `SEED=… cargo test NAME` repeats the run.

pub(crate) struct Numbers(u64);

impl Numbers {
    #[expect(clippy::print_stdout, reason = "a test that fails shows its output")]
    pub(crate) fn seeded() -> Self {
        let given = option_env!("SEED").and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| getrandom::u64().unwrap());
        println!("SEED={seed}");
        Self(seed)
    }

    /// 64 bits (splitmix64: every seed is as good as another).
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.bits() % bound as u64).unwrap()
    }

    /// One of `all`.
    pub(crate) fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// A text of `length` of these characters.
    pub(crate) fn text(&mut self, of: &str, length: usize) -> String {
        let all: Vec<char> = of.chars().collect();
        (0..length).map(|_| self.one_of(&all)).collect()
    }
}
