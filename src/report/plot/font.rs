//! The font that the program carries.

/// Makes the font that the program carries known to the plotting library, which then measures text by it.
#[cfg(feature = "png")]
pub fn font() {
    static REGISTERED: std::sync::Once = std::sync::Once::new();
    REGISTERED.call_once(|| {
        let font = include_bytes!("../../../assets/font/DejaVuSans-subset.ttf");
        // A refusal would show as an error of the first plot's text.
        let _ =
            plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font);
    });
}

/// Without PNG the plotting library estimates the width of text and needs no font.
#[cfg(not(feature = "png"))]
pub fn font() {}
