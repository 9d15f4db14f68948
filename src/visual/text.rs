//! Text on pictures, in Ubuntu Light.

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};
use epaint_default_fonts::UBUNTU_LIGHT;
use image::{Pixel, Rgb, RgbImage, Rgba};

use crate::printable;

fn font() -> FontRef<'static> {
    FontRef::try_from_slice(UBUNTU_LIGHT).expect("the built-in font is a font")
}

/// Calls `place` for each character with its horizontal offset; returns the width of the text.
///
/// Names come from files. The font has no glyphs for control characters, so they are [escaped](printable).
fn lay_out(font: &FontRef, text: &str, size: f32, mut place: impl FnMut(GlyphId, f32)) -> f32 {
    let font = font.as_scaled(PxScale::from(size));
    let (mut x, mut previous) = (0.0, None);
    for character in printable(text).to_string().chars() {
        let glyph = font.glyph_id(character);
        x += previous.map_or(0.0, |previous| font.kern(previous, glyph));
        place(glyph, x);
        x += font.h_advance(glyph);
        previous = Some(glyph);
    }
    x
}

/// The width of `text` in pixels.
pub(super) fn width(text: &str, size: f32) -> u32 {
    lay_out(&font(), text, size, |_, _| ()).ceil() as u32
}

/// The width of `text` where `size` is that of the font's em, as in SVG, and not its height.
pub(super) fn em_width(text: &str, size: f64) -> f64 {
    let font = font();
    let em = font.units_per_em().map_or(1.0, |em| font.height_unscaled() / em);
    f64::from(lay_out(&font, text, size as f32 * em, |_, _| ()))
}

/// Draws `text` from `left` along `baseline`; what lies outside the picture is cut off.
pub(super) fn draw(
    picture: &mut RgbImage,
    (left, baseline): (u32, u32),
    text: &str,
    size: f32,
    ink: Rgb<u8>,
) {
    let font = font();
    lay_out(&font, text, size, |glyph, x| {
        let position = ab_glyph::point(left as f32 + x, baseline as f32);
        let Some(outline) = font.outline_glyph(glyph.with_scale_and_position(size, position)) else {
            return; // a space
        };
        let bounds = outline.px_bounds();
        outline.draw(|x, y, coverage| {
            let (x, y) = (bounds.min.x as i64 + i64::from(x), bounds.min.y as i64 + i64::from(y));
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
            if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
                let Rgb([red, green, blue]) = ink;
                let mut blended = pixel.to_rgba();
                blended.blend(&Rgba([red, green, blue, (coverage.min(1.0) * 255.0) as u8]));
                *pixel = blended.to_rgb();
            }
        });
    });
}
