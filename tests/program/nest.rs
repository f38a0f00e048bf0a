//! Makes secrets and personal data that pass for real ones, typed and spoken, each different from the others.

/// Something that must be found nowhere.
#[derive(Clone, Debug)]
pub struct Canary {
    pub kind: &'static str,
    pub planted: String,
    /// What would give it away.
    pub needles: Vec<String>,
}

/// Makes canaries; no two are alike.
pub struct Nest {
    state: u64,
    pub all: Vec<Canary>,
}

const ENGLISH: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const HINGLISH: [&str; 10] = ["shunya", "ek", "do", "teen", "chaar", "paanch", "chhe", "saat", "aath", "nau"];
const HINDI: [&str; 10] = ["शून्य", "एक", "दो", "तीन", "चार", "पांच", "छह", "सात", "आठ", "नौ"];

impl Default for Nest {
    fn default() -> Self {
        Self { state: 42, all: Vec::new() }
    }
}

impl Nest {
    fn digits(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.state >> 60) as u8 % 10
        };
        (0..count).map(|_| next()).collect()
    }

    fn letters(&mut self, count: usize) -> String {
        self.digits(count * 2).chunks(2).map(|pair| char::from(b'a' + (pair[0] * 10 + pair[1]) % 26)).collect()
    }

    fn keep(&mut self, kind: &'static str, planted: String, needles: Vec<String>) -> String {
        self.all.push(Canary { kind, planted: planted.clone(), needles });
        planted
    }

    fn plain(&mut self, kind: &'static str, value: String) -> String {
        self.keep(kind, value.clone(), vec![value])
    }

    pub fn phone(&mut self) -> String {
        let digits = text(&self.digits(8));
        let needle = format!("98{digits}");
        let planted = match self.all.len() % 4 {
            0 => format!("+91{needle}"),
            1 => format!("0{needle}"),
            2 => format!("98{} {}", &digits[..3], &digits[3..]),
            _ => format!("+91-98{}-{}", &digits[..3], &digits[3..]),
        };
        self.keep("phone", planted.clone(), vec![needle, planted])
    }

    fn card_digits(&mut self) -> Vec<u8> {
        let mut digits = [&[4], &self.digits(14)[..]].concat();
        let check = (0..10).find(|check| luhn([&digits[..], &[*check]].concat())).unwrap();
        digits.push(check);
        digits
    }

    pub fn card(&mut self) -> String {
        let digits = text(&self.card_digits());
        let planted = match self.all.len() % 3 {
            0 => digits.clone(),
            1 => groups(&digits, " "),
            _ => groups(&digits, "-"),
        };
        self.keep("card", planted.clone(), vec![digits, planted])
    }

    pub fn spoken_card(&mut self) -> String {
        let digits = self.card_digits();
        let words = [ENGLISH, HINGLISH, HINDI][self.all.len() % 3];
        let spoken: Vec<&str> = digits.iter().map(|digit| words[usize::from(*digit)]).collect();
        let half = spoken[4..12].join(" ");
        self.keep("spoken card", spoken.join(" "), vec![text(&digits), half])
    }

    /// `double` and `triple` where digits repeat.
    pub fn spoken_code(&mut self) -> String {
        let digits = self.digits(8);
        let words = [ENGLISH, HINGLISH, HINDI][self.all.len() % 3];
        let mut spoken: Vec<&str> = Vec::new();
        for run in digits.chunk_by(|a, b| a == b) {
            let word = words[usize::from(run[0])];
            match run.len() {
                2 => spoken.extend(["double", word]),
                3 => spoken.extend(["triple", word]),
                other => spoken.extend(std::iter::repeat_n(word, other)),
            }
        }
        let spoken = spoken.join(" ");
        self.keep("spoken otp", spoken.clone(), vec![text(&digits), spoken])
    }

    pub fn code(&mut self) -> String {
        let digits = text(&self.digits(8));
        self.plain("otp", digits)
    }

    pub fn aadhaar(&mut self) -> String {
        let digits = [&[3], &self.digits(10)[..]].concat();
        // The check digit is found by trying, so that the test does not agree with the product's tables by copying them.
        let whole = (0..10).map(|check| [&digits[..], &[check]].concat()).find(|digits| verhoeff(digits)).unwrap();
        let whole = text(&whole);
        self.keep("aadhaar", groups(&whole, " "), vec![whole.clone(), groups(&whole, " ")])
    }

    pub fn pan(&mut self) -> String {
        let pan = format!("{}P{}{}K", self.letters(3), self.letters(1), text(&self.digits(4))).to_uppercase();
        self.plain("pan", pan)
    }

    pub fn upi(&mut self) -> String {
        let name = format!("{}{}", self.letters(8), text(&self.digits(3)));
        self.keep("upi", format!("{name}@okaxis"), vec![name])
    }

    pub fn word(&mut self, kind: &'static str) -> String {
        let word = format!("{}{}{}", self.letters(7), text(&self.digits(4)), self.letters(7));
        match kind {
            "api key" => self.keep(kind, format!("sk-proj-{word}"), vec![word]),
            "own key" => self.keep(kind, format!("caly_{word}{word}"), vec![word]),
            _ => self.plain(kind, word),
        }
    }
}

fn text(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

fn groups(digits: &str, gap: &str) -> String {
    let groups: Vec<&str> = (0..digits.len()).step_by(4).map(|at| &digits[at..at + 4]).collect();
    groups.join(gap)
}

fn luhn(digits: Vec<u8>) -> bool {
    let double = |d: u8| if d > 4 { d * 2 - 9 } else { d * 2 };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, d)| u32::from(if at % 2 == 1 { double(*d) } else { *d })).sum();
    sum.is_multiple_of(10)
}

/// By the tables as they are printed everywhere.
fn verhoeff(digits: &[u8]) -> bool {
    const D: [&str; 10] = [
        "0123456789",
        "1234067895",
        "2340178956",
        "3401289567",
        "4012395678",
        "5987604321",
        "6598710432",
        "7659821043",
        "8765932104",
        "9876543210",
    ];
    const P: [&str; 8] = [
        "0123456789",
        "1576283094",
        "5803796142",
        "8916043527",
        "9453126870",
        "4286573901",
        "2793806415",
        "7046913258",
    ];
    let at = |row: &str, column: u8| row.as_bytes()[usize::from(column)] - b'0';
    digits.iter().rev().enumerate().fold(0, |check, (place, digit)| at(D[usize::from(check)], at(P[place % 8], *digit)))
        == 0
}
