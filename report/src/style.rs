//! Colours, where they are wanted.

/// Wraps text in ANSI codes, or does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to.
    pub colour: bool,
}

impl Style {
    /// With or without colours.
    pub fn new(colour: bool) -> Self {
        Style { colour }
    }

    /// What matters most.
    pub fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What matters least.
    pub fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What went well.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What did not end yet.
    pub fn open(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// What went wrong.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
