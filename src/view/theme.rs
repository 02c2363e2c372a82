//! How things look: parts of the screen ask for a role, never for a colour.
//!
//! Colours are the terminal's own sixteen, so that light and dark schemes both work; text and
//! background are left as they are. Without colour the roles differ by bold, dim, underline and
//! reverse, and no part of the screen says anything by colour alone.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of the screen is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Plain cells.
    Text,
    /// Less important: units, separators, what did not change.
    Dim,
    /// A missing cell.
    Missing,
    /// The name of a pane or a section.
    Title,
    /// A column's header.
    Header,
    /// The header of the column sorted by.
    Sorted,
    /// What catches the eye: names, the current mode.
    Accent,
    /// A key in the footer and in help.
    Key,
    /// As it should be.
    Good,
    /// Worth a look: degraded, retransmits.
    Warn,
    /// Wrong: lost, failed, reset.
    Bad,
    /// The selected row.
    Select,
    /// A row or a text found by a search.
    Match,
    /// A row that was not there before.
    New,
    /// A row whose subject has ended.
    Ended,
    /// The light that says that a recording is being written.
    Record,
    /// The view is frozen or looks at the past.
    Past,
    /// A line between panes, an empty part of a bar.
    Border,
    /// A sparkline or a bar.
    Chart,
    /// Timelines: at work (running, established).
    Run,
    /// Timelines: could work but must wait (runnable, handshake).
    Wait,
    /// Timelines: waiting for a device or for the other side.
    Io,
    /// Timelines: waiting for a lock; closing.
    Lock,
    /// Timelines: stuck or failed.
    Stuck,
    /// Timelines: nothing to do (sleeping, lingering).
    Rest,
}

impl Role {
    /// Every role, for tests and for a page that shows them.
    pub const ALL: [Role; 25] = [
        Role::Text,
        Role::Dim,
        Role::Missing,
        Role::Title,
        Role::Header,
        Role::Sorted,
        Role::Accent,
        Role::Key,
        Role::Good,
        Role::Warn,
        Role::Bad,
        Role::Select,
        Role::Match,
        Role::New,
        Role::Ended,
        Role::Record,
        Role::Past,
        Role::Border,
        Role::Chart,
        Role::Run,
        Role::Wait,
        Role::Io,
        Role::Lock,
        Role::Stuck,
        Role::Rest,
    ];
}

/// How many colours there are to draw with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// The terminal's own sixteen.
    #[default]
    Sixteen,
    /// None: bold, dim, underline and reverse only.
    Mono,
}

/// Which characters the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// Blocks, arrows and lines.
    #[default]
    Unicode,
    /// Braille for bars and strips, ASCII for all else: one cell wide also on terminals where
    /// blocks, arrows and lines are two (East Asian Ambiguous).
    Braille,
    /// Nothing beyond ASCII.
    Ascii,
}

impl Glyphs {
    fn pick(self, unicode: char, ascii: char) -> char {
        match self {
            Glyphs::Unicode => unicode,
            Glyphs::Braille | Glyphs::Ascii => ascii,
        }
    }

    /// The end of a text that was cut.
    pub fn ellipsis(self) -> char {
        self.pick('…', '~')
    }

    /// Sorted with the smallest first.
    pub fn ascending(self) -> char {
        self.pick('▲', '^')
    }

    /// Sorted with the largest first.
    pub fn descending(self) -> char {
        self.pick('▼', 'v')
    }

    /// A group that can be unfolded.
    pub fn folded(self) -> char {
        self.pick('▸', '+')
    }

    /// A group that can be folded.
    pub fn unfolded(self) -> char {
        self.pick('▾', '-')
    }

    /// A light: recording, pinned.
    pub fn light(self) -> char {
        self.pick('●', '*')
    }

    /// A horizontal line.
    pub fn horizontal(self) -> char {
        self.pick('─', '-')
    }

    /// A vertical line.
    pub fn vertical(self) -> char {
        self.pick('│', '|')
    }

    /// From one to another: `10.0.0.1:5 → 10.0.0.2:80`.
    pub fn arrow(self) -> char {
        self.pick('→', '>')
    }

    /// A full cell of a bar.
    pub fn full(self) -> char {
        match self {
            Glyphs::Braille => '⣿',
            _ => self.pick('█', '#'),
        }
    }
}

/// The environment as far as looks depend on it. An empty value counts as unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Env<'a> {
    /// `NO_COLOR`: <https://no-color.org>.
    pub no_color: Option<&'a str>,
    /// `TERM`.
    pub term: Option<&'a str>,
    /// `LC_ALL`.
    pub lc_all: Option<&'a str>,
    /// `LC_CTYPE`.
    pub lc_ctype: Option<&'a str>,
    /// `LANG`.
    pub lang: Option<&'a str>,
}

/// A palette and a set of characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// The colours.
    pub palette: Palette,
    /// The characters.
    pub glyphs: Glyphs,
}

impl Theme {
    /// What suits this environment; `wish` is the user's own.
    pub fn choose(env: &Env<'_>, wish: Option<Glyphs>) -> Theme {
        let set = |v: Option<&'_ str>| v.is_some_and(|v| !v.is_empty());
        let term = env.term.unwrap_or("");
        let mono = set(env.no_color)
            || matches!(term, "dumb" | "vt100" | "vt102" | "vt220")
            || term.ends_with("-mono")
            || term.ends_with("-m");
        // The first one that is set decides, as in setlocale(3).
        let locale = [env.lc_all, env.lc_ctype, env.lang].into_iter().find(|v| set(*v)).flatten();
        let utf8 = locale.is_some_and(|l| {
            let l = l.to_ascii_lowercase();
            l.contains("utf-8") || l.contains("utf8")
        });
        // The kernel's console has a font of at most 512 characters, without eighth blocks.
        let poor = matches!(term, "linux" | "dumb" | "vt100" | "vt102" | "vt220");
        Theme {
            palette: if mono { Palette::Mono } else { Palette::Sixteen },
            glyphs: if !utf8 || poor { Glyphs::Ascii } else { wish.unwrap_or_default() },
        }
    }

    /// How to draw a role.
    pub fn style(&self, role: Role) -> Style {
        let style = Style::new().add_modifier(self.modifier(role));
        match self.color(role) {
            Some(color) => style.fg(color),
            None => style,
        }
    }

    /// The colour of a role, if it has one of its own.
    pub fn color(&self, role: Role) -> Option<Color> {
        if self.palette == Palette::Mono {
            return None;
        }
        match role {
            Role::Accent | Role::Key | Role::Sorted | Role::Chart | Role::Run => Some(Color::Cyan),
            Role::Good | Role::New => Some(Color::Green),
            Role::Warn | Role::Wait | Role::Past => Some(Color::Yellow),
            Role::Bad | Role::Stuck | Role::Record => Some(Color::Red),
            Role::Io => Some(Color::Blue),
            Role::Lock | Role::Match => Some(Color::Magenta),
            Role::Text
            | Role::Dim
            | Role::Missing
            | Role::Title
            | Role::Header
            | Role::Select
            | Role::Ended
            | Role::Border
            | Role::Rest => None,
        }
    }

    fn modifier(&self, role: Role) -> Modifier {
        let always = match role {
            Role::Dim | Role::Missing | Role::Border | Role::Rest => Modifier::DIM,
            Role::Ended => Modifier::DIM | Modifier::ITALIC,
            Role::Title | Role::Header | Role::Sorted | Role::Key | Role::Bad | Role::Stuck => {
                Modifier::BOLD
            }
            Role::Record | Role::Past => Modifier::BOLD,
            Role::Select => Modifier::REVERSED,
            Role::Match => Modifier::UNDERLINED,
            _ => Modifier::empty(),
        };
        let instead = match role {
            _ if self.palette == Palette::Sixteen => Modifier::empty(),
            Role::Sorted | Role::Warn | Role::Bad | Role::Stuck => Modifier::UNDERLINED,
            Role::Accent | Role::New => Modifier::BOLD,
            Role::Past => Modifier::REVERSED,
            _ => Modifier::empty(),
        };
        always | instead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(no_color: &str, term: &str, lc_all: &str, lc_ctype: &str, lang: &str) -> Theme {
        let env = Env {
            no_color: Some(no_color),
            term: Some(term),
            lc_all: Some(lc_all),
            lc_ctype: Some(lc_ctype),
            lang: Some(lang),
        };
        Theme::choose(&env, None)
    }

    #[test]
    fn the_environment_decides() {
        let t = theme("", "xterm-256color", "", "", "en_US.UTF-8");
        assert_eq!((t.palette, t.glyphs), (Palette::Sixteen, Glyphs::Unicode));
        assert_eq!(theme("1", "xterm", "", "", "C.utf8").palette, Palette::Mono);
        assert_eq!(theme("", "dumb", "", "", "C.utf8").palette, Palette::Mono);
        assert_eq!(theme("", "xterm", "C", "", "en_US.UTF-8").glyphs, Glyphs::Ascii);
        assert_eq!(theme("", "xterm", "", "de_DE.UTF-8", "C").glyphs, Glyphs::Unicode);
        assert_eq!(theme("", "linux", "", "", "en_US.UTF-8").glyphs, Glyphs::Ascii);
        assert_eq!(Theme::choose(&Env::default(), None).glyphs, Glyphs::Ascii);
        let env = Env { lang: Some("C.UTF-8"), ..Env::default() };
        assert_eq!(Theme::choose(&env, None).glyphs, Glyphs::Unicode);
        assert_eq!(Theme::choose(&env, Some(Glyphs::Ascii)).glyphs, Glyphs::Ascii);
        assert_eq!(Theme::choose(&env, Some(Glyphs::Braille)).glyphs, Glyphs::Braille);
        let none = Theme::choose(&Env::default(), Some(Glyphs::Braille)).glyphs;
        assert_eq!(none, Glyphs::Ascii, "braille needs UTF-8 too");
    }

    #[test]
    fn without_colour_there_is_none_and_what_matters_still_differs() {
        let mono = Theme { palette: Palette::Mono, glyphs: Glyphs::Ascii };
        for role in Role::ALL {
            let s = mono.style(role);
            assert_eq!((s.fg, s.bg), (None, None), "{role:?}");
        }
        let told_apart = [
            Role::Text,
            Role::Dim,
            Role::Header,
            Role::Sorted,
            Role::Warn,
            Role::Select,
            Role::Ended,
        ];
        for (i, a) in told_apart.iter().enumerate() {
            for b in told_apart.iter().skip(i + 1) {
                assert_ne!(mono.style(*a), mono.style(*b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn only_the_terminals_own_colours_are_used() {
        let theme = Theme::default();
        for role in Role::ALL {
            let s = theme.style(role);
            assert_eq!(s.bg, None, "{role:?}");
            // White and black would vanish on a light or a dark background.
            let named = [
                None,
                Some(Color::Red),
                Some(Color::Green),
                Some(Color::Yellow),
                Some(Color::Blue),
                Some(Color::Magenta),
                Some(Color::Cyan),
            ];
            assert!(named.contains(&s.fg), "{role:?}");
        }
        assert_ne!(theme.style(Role::Good).fg, theme.style(Role::Bad).fg);
        assert_ne!(
            theme.style(Role::Good).add_modifier,
            theme.style(Role::Bad).add_modifier,
            "red and green are not the only difference"
        );
    }

    #[test]
    fn every_glyph_is_one_cell_and_ascii_is_ascii() {
        use unicode_width::UnicodeWidthChar;
        let all: [fn(Glyphs) -> char; 10] = [
            Glyphs::ellipsis,
            Glyphs::ascending,
            Glyphs::descending,
            Glyphs::folded,
            Glyphs::unfolded,
            Glyphs::light,
            Glyphs::horizontal,
            Glyphs::vertical,
            Glyphs::arrow,
            Glyphs::full,
        ];
        for glyph in all {
            assert_eq!(glyph(Glyphs::Unicode).width(), Some(1));
            assert!(glyph(Glyphs::Ascii).is_ascii_graphic());
            assert!(glyph(Glyphs::Braille).is_ascii_graphic() || glyph(Glyphs::Braille) == '⣿');
        }
    }
}
