//! What all pages of a host have in common: the frame, the style, and how text becomes HTML.

/// What ends a page that [`begin`] began.
pub(in crate::server) const END: &str = "\n</body>\n</html>\n";

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
pre, code { font: 14px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { padding: .75rem 1rem; overflow-x: auto; border: 1px solid #8884; border-radius: 6px; background: #8881; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #8884; }
h1, h2, h3, h4 { line-height: 1.2; overflow-wrap: anywhere; }
";

/// The beginning of a page, up to its first heading.
pub(in crate::server) fn begin(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )
}

/// `text` as it may stand in an element. Quotes stay, so that an example can also be pasted from the source of a page.
pub(in crate::server) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `text` as it may stand between the quotes of an attribute.
pub(in crate::server) fn attribute(text: &str) -> String {
    escape(text).replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<a> & b"), "&lt;a&gt; &amp; b");
        assert_eq!(attribute("\"><b"), "&quot;&gt;&lt;b");
        assert!(begin("</title><script>").contains("<title>&lt;/title&gt;&lt;script&gt;</title>"));
    }
}
