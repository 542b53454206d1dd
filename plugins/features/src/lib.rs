//! Feature vectors in, an MLP encoder.
