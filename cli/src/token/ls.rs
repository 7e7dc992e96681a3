//! `capstan token ls`.

use capstan_client::cluster::TokenEntry;

use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        table::{Cell, Table},
        time,
    },
};

pub(super) async fn run(options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let tokens = options.client()?.tokens().await?;
    match options.output {
        Output::Json => console.json(&tokens)?,
        Output::Table if tokens.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "no tokens"))?;
        }
        Output::Table => console.line(table(&tokens, console).draw(console))?,
    }
    Ok(())
}

fn table(tokens: &[TokenEntry], console: &Console) -> Table {
    let now = (console.now)();
    let mut table = Table::new(&["ID", "NAME", "ROLES", "EXPIRES", "CREATED", "BY"]);
    for token in tokens {
        let by = Some(&token.created_by).filter(|by| !by.is_empty());
        let expires = token.expires_at.map_or_else(|| "never".to_owned(), |end| time::ago(end, now));
        table.row([
            Cell::text(&token.id),
            Cell::text(&token.name),
            Cell::text(token.roles.join(",")),
            Cell::text(expires),
            Cell::text(time::ago(token.created_at, now)),
            Cell::maybe(by),
        ]);
    }
    table
}
