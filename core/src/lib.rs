//! The words of transfer learning as traits, and the one training loop.
