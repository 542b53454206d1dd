//! Pixels: images decoded, resized, cut and augmented, as the networks expect them.
//!
//! Knows nothing of tensors, tables or recipes, so that every image plugin, ours or a stranger's, prepares its inputs by the same code.
