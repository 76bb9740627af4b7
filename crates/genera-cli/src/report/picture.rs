//! PNG bytes as an `<img>` that carries them, enlarged by whole pixels.

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, html};

/// The picture at a whole multiple of its size, as near to `width` CSS pixels as that allows.
///
/// Bytes that are no PNG leave a note in the picture's place.
pub fn image(png: &[u8], alternative: &str, width: u32) -> Markup {
    let Some([columns, rows]) = size(png) else {
        return html! { p.note { "This picture is not a PNG file." } };
    };
    let zoom = ((f64::from(width) / f64::from(columns)).round() as u32).max(1);
    let source = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
    html! {
        img src=(source) alt=(alternative) width=(columns.saturating_mul(zoom)) height=(rows.saturating_mul(zoom));
    }
}

/// Columns and rows, from the header chunk that every PNG begins with.
fn size(png: &[u8]) -> Option<[u32; 2]> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?)).filter(|n| *n > 0);
    Some([number(0)?, number(4)?])
}
