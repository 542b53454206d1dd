//! Views of training rows that cannot be had: what would be read and ignored is refused.

use crate::data::View;
use crate::recipe::Keys;
use crate::strategy::Needs;
use crate::task::TargetTask;

/// An error where the target task asks for views that the method would not look at, or that the rows have no labels for.
pub(super) fn check(
    target: &Keys,
    transductive: bool,
    method: &str,
    needs: &Needs,
    task: &dyn TargetTask,
) {
    let view = task.view();
    let refuse = |why: String, help: &str| {
        target.error(target.at("augment"), why).help(help);
    };
    if needs.plain && !matches!(view, View::Plain | View::Masked) {
        refuse(
            format!("`{method}` looks at each row once, as it is"),
            "leave it out",
        );
    } else if view.is_mixed() && transductive {
        refuse(
            "labels are mixed with the images, and the target's rows have none".into(),
            "`weak`, `strong` and `shift` change one image at a time, of both domains",
        );
    }
}
