//! The bar of a command that waits on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;

/// A bar that counts these things, with a message before it; `None` where standard error is no terminal.
pub(crate) fn bar(console: &Console, things: &str) -> Option<ProgressBar> {
    console.terminal.err.then(|| {
        let template = format!("{{msg:10}} {{wide_bar:.cyan/blue}} {{pos}} of {{len}} {things}  {{elapsed}}");
        let style = ProgressStyle::with_template(&template).expect("the template is made of constants");
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    })
}
