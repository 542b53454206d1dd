//! BERT: text in, features out.
