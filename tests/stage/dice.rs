//! Numbers that look random and are the same in every run (xorshift64). Included alone with
//! `#[path = "stage/dice.rs"] mod dice;` where nothing else of the stage is needed.

/// The generator; what it holds is the seed, which must not be 0.
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this; 0 of none.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }
}
