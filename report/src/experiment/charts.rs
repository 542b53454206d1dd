//! Pictures of a comparison, as SVG.
