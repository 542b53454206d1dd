//! Draws in order from one stream: what a picture needs, and nothing is carried from one picture to the next.

use tlkit_core::random::Stream;

/// A stream, and how far it was read.
pub struct Dice {
    stream: Stream,
    next: u64,
}

impl Dice {
    /// From the beginning of a stream.
    pub fn new(stream: Stream) -> Self {
        Dice { stream, next: 0 }
    }

    /// Uniform between two bounds.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        self.next += 1;
        low + (high - low) * self.stream.uniform(self.next) as f32
    }

    /// Uniform around a middle, `spread` to either side.
    pub fn near(&mut self, middle: f32, spread: f32) -> f32 {
        self.between(middle - spread, middle + spread)
    }

    /// True so many times in one.
    pub fn chance(&mut self, share: f32) -> bool {
        self.between(0.0, 1.0) < share
    }

    /// A whole number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.next += 1;
        self.stream.below(self.next, n as u64) as usize
    }

    /// One of a few.
    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// 1 or -1.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// A stream of its own, for noise.
    pub fn stream(&mut self) -> Stream {
        self.next += 1;
        self.stream.at(self.next)
    }
}
