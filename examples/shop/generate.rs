//! Made-up orders, the same at every call: nobody's data.

use std::io::{self, BufWriter, Write as _};

use crate::order::{Failure, Item, Method, Order};

/// Prints `count` orders, one JSON object a line. A reader that has closed stdout ends it.
pub(crate) fn to_stdout(count: u64) -> Result<(), Failure> {
    let mut output = BufWriter::new(io::stdout().lock());
    let mut dice = Dice(0x5851_f42d_4c95_7f2d);
    for id in 1..=count {
        let line = serde_json::to_string(&order(FIRST_ID + id, &mut dice))?;
        match writeln!(output, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(output.flush()?)
}

fn order(id: u64, dice: &mut Dice) -> Order {
    let (country, currency) = dice.pick(&COUNTRIES);
    let items: Vec<_> = (0..dice.pick(&[1, 1, 1, 2, 2, 3])).map(|_| item(dice)).collect();
    Order {
        id,
        // A shop's customers come back: few of them order much.
        customer: format!("C{:05}", (dice.below(900) * dice.below(900)) / 900 + 1),
        country: country.to_owned(),
        currency: currency.to_owned(),
        method: dice.pick(&[Method::Card, Method::Card, Method::Card, Method::Wallet, Method::Wallet, Method::Invoice]),
        total: items.iter().map(|item| u64::from(item.quantity) * item.price).sum(),
        items,
    }
}

fn item(dice: &mut Dice) -> Item {
    let (sku, price) = dice.pick(&GOODS);
    Item { sku: sku.to_owned(), quantity: dice.pick(&[1, 1, 1, 1, 2, 2, 4]), price }
}

/// Xorshift: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        let index = self.below(N as u64) as usize;
        choices.get(index).copied().unwrap_or_else(|| unreachable!("{index} is below {N}"))
    }
}

const FIRST_ID: u64 = 100_000;

const COUNTRIES: [(&str, &str); 12] = [
    ("DE", "EUR"),
    ("DE", "EUR"),
    ("FR", "EUR"),
    ("NL", "EUR"),
    ("ES", "EUR"),
    ("IT", "EUR"),
    ("AT", "EUR"),
    ("GB", "GBP"),
    ("US", "USD"),
    ("CH", "CHF"),
    ("SE", "SEK"),
    ("PL", "PLN"),
];

const GOODS: [(&str, u64); 16] = [
    ("BOOK-0412", 2_490),
    ("BOOK-1187", 1_850),
    ("CABLE-USBC-2M", 1_299),
    ("CAM-MIRRORLESS", 129_900),
    ("CHAIR-OAK", 18_900),
    ("COFFEE-1KG", 2_195),
    ("DESK-160", 44_900),
    ("HEADSET-BT", 8_999),
    ("LAMP-LED", 3_495),
    ("LAPTOP-14", 149_900),
    ("MUG-SET-4", 2_400),
    ("PEN-GEL-10", 790),
    ("PHONE-128", 69_900),
    ("SHIRT-M-BLUE", 3_990),
    ("SHOES-42", 11_900),
    ("TENT-2P", 21_900),
];
