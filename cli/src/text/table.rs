//! Aligned columns without lines, as `kubectl` and `ps` draw them.

use std::fmt::Display;

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, presets};

use super::escape;
use crate::console::{Console, Shade};

/// A table under construction. Cells are escaped, so whatever a caller or a job put into a name stays a text.
pub(crate) struct Table(comfy_table::Table);

/// One cell.
pub(crate) struct Cell {
    text: String,
    shade: Shade,
    alignment: CellAlignment,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(
            header.iter().map(|title| comfy_table::Cell::new(title).add_attribute(Attribute::Bold)),
        );
        Self(table)
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.0.add_row(cells.into_iter().map(Cell::into_drawn));
    }

    /// Draws the table as the console can show it, without a line break at the end.
    pub(crate) fn draw(mut self, console: &Console) -> String {
        self.0.force_no_tty();
        if console.terminal.out_colour {
            self.0.enforce_styling();
        }
        for column in self.0.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.0.trim_fmt()
    }
}

impl Cell {
    pub(crate) fn text(text: impl Display) -> Self {
        Self { text: escape::line(&text.to_string()), shade: Shade::Plain, alignment: CellAlignment::Left }
    }

    pub(crate) fn number(number: impl Display) -> Self {
        Self { alignment: CellAlignment::Right, ..Self::text(number) }
    }

    /// A cell for something that may be unknown, drawn as `-` then.
    pub(crate) fn maybe(text: Option<impl Display>) -> Self {
        text.map_or_else(|| Self::text("-"), Self::text)
    }

    pub(crate) fn shaded(self, shade: Shade) -> Self {
        Self { shade, ..self }
    }

    fn into_drawn(self) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(self.text).set_alignment(self.alignment);
        match self.shade {
            Shade::Plain => cell,
            Shade::Good => cell.fg(Color::Green),
            Shade::Busy => cell.fg(Color::Cyan),
            Shade::Bad => cell.fg(Color::Red),
            Shade::Dim => cell.add_attribute(Attribute::Dim),
            Shade::Strong => cell.add_attribute(Attribute::Bold),
        }
    }
}
