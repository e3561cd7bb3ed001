//! The ground that charts stand on: a frame with axes, a figure with title and legend.

use std::fmt::Write as _;

pub(super) use super::axis::Axis;

/// Width of every chart in its own units; the page scales it.
pub(super) const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// How many colours there are. Further series begin again, with other marks.
pub(super) const COLOURS: usize = 10;
/// The grey one, for what is left over or not known.
pub(super) const GREY: usize = 7;

/// A frame with two axes; series are drawn into `body`.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) x: Axis,
    pub(super) y: Option<Axis>,
    pub(super) body: String,
    height: f64,
}

impl Plot {
    /// A plot so many units high, with its axes. Without `y`, rows are up to the caller.
    pub(super) fn new(x: Axis, y: Option<Axis>, height: f64) -> Self {
        let mut plot = Self { x, y, body: String::new(), height };
        plot.axes();
        plot
    }

    /// Left, right, top and bottom of the inner frame.
    pub(super) fn frame(&self) -> [f64; 4] {
        let left = if self.y.is_some() { LEFT } else { 4.0 };
        // Room for half of the last tick's text.
        [left, WIDTH - RIGHT - 14.0, TOP, self.height - BOTTOM]
    }

    /// Position of a value on the horizontal axis.
    pub(super) fn at_x(&self, value: f64) -> f64 {
        let [left, right, ..] = self.frame();
        left + (right - left) * self.x.share(value)
    }

    /// Position of a value on the vertical axis.
    pub(super) fn at_y(&self, value: f64) -> f64 {
        let [_, _, top, bottom] = self.frame();
        bottom - (bottom - top) * self.y.as_ref().map_or(0.0, |axis| axis.share(value))
    }

    /// Draws something; writing to a string does not fail.
    pub(super) fn draw(&mut self, shape: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(shape);
        self.body.push('\n');
    }

    fn axes(&mut self) {
        let [left, right, top, bottom] = self.frame();
        for tick in self.x.ticks.clone() {
            let (x, text) = (self.at_x(tick), self.x.tick_text(tick));
            self.draw(format_args!("<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"));
            self.draw(format_args!("<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>", bottom + 17.0));
        }
        if let Some(axis) = self.y.clone() {
            for tick in &axis.ticks {
                let (y, text) = (self.at_y(*tick), axis.tick_text(*tick));
                self.draw(format_args!("<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"));
                self.draw(format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", left - 7.0, y + 4.0));
            }
            let (middle, label) = (top.midpoint(bottom), escape(&axis.label));
            let turned = format!("transform=\"rotate(-90 14 {middle:.1})\"");
            self.draw(format_args!("<text class=\"name\" x=\"14\" y=\"{middle:.1}\" text-anchor=\"middle\" {turned}>{label}</text>"));
            self.draw(format_args!("<path class=\"axis\" d=\"M{left} {top}V{bottom}\"/>"));
        }
        self.draw(format_args!("<path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>"));
        let (x, y, label) = (left.midpoint(right), bottom + 38.0, escape(&self.x.label));
        self.draw(format_args!("<text class=\"name\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>"));
    }

    /// The finished figure.
    pub(super) fn figure(&self, page: &mut String, title: &Title<'_>, legend: &[(String, String)]) {
        let [heading, detail] = [title.heading, title.detail].map(escape);
        let _ = write!(page, "<figure>\n<figcaption>{heading}<span>{detail}</span></figcaption>\n");
        if !legend.is_empty() {
            page.push_str("<ul class=\"legend\">");
            for (sign, name) in legend {
                let _ = write!(page, "<li><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\">{sign}</svg>{}</li>", escape(name));
            }
            page.push_str("</ul>\n");
        }
        let _ = write!(
            page,
            "<div class=\"chart\"><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{heading}. {detail}\">\n{}</svg></div>\n</figure>\n",
            self.height, self.body
        );
    }
}

/// What stands above a chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Title<'a> {
    pub(super) heading: &'a str,
    pub(super) detail: &'a str,
}

/// The class of a series' colour.
pub(super) fn colour(index: usize) -> String {
    format!("c{}", index % COLOURS)
}

/// Text as HTML shows it, whatever it contains. Control characters, and those that turn the direction of the text after them, show as �.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            _ if letter.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn hostile_text_is_harmless() {
        assert_eq!(escape("<img src=x onerror='a(\"b\")'>&"), "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;");
        assert_eq!(escape("a\u{202e}b\0c"), "a\u{fffd}b\u{fffd}c");
    }
}
