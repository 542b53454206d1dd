//! Recipes: what is written, checked, and said about it.
