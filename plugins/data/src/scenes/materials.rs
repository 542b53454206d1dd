//! What things are made of.

use super::colour::Colour;
use super::dice::Dice;

/// Any strong colour.
pub(super) fn lacquer(dice: &mut Dice) -> Colour {
    Colour::hsl(
        dice.between(0.0, 1.0),
        dice.between(0.4, 0.9),
        dice.between(0.32, 0.6),
    )
}

/// Shades of brown.
pub(super) fn wood(dice: &mut Dice) -> Colour {
    Colour::hsl(
        dice.near(0.08, 0.02),
        dice.between(0.3, 0.6),
        dice.between(0.25, 0.5),
    )
}

/// Pale blue.
pub(super) fn glass(dice: &mut Dice) -> Colour {
    Colour::hsl(dice.near(0.56, 0.04), 0.4, dice.between(0.6, 0.85))
}
