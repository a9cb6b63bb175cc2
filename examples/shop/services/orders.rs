//! `orders`: reads the input and produces every order.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::board::Board;
use crate::kafka::{Kafka, Producer};
use crate::options::Options;
use crate::order::{Failure, Order};

pub(crate) struct Orders {
    lines: Box<dyn FnMut() -> Option<io::Result<String>> + Send>,
    input_name: String,
    rate: u32,
    producer: Producer,
    board: Arc<Board>,
}

impl Orders {
    pub(crate) fn new(kafka: &Kafka, board: &Arc<Board>, options: &Options) -> Result<Self, Failure> {
        let mut lines = options.lines()?;
        Ok(Orders {
            lines: Box::new(move || lines.next()),
            input_name: options.input_name(),
            rate: options.rate,
            producer: kafka.producer("orders", board)?,
            board: Arc::clone(board),
        })
    }

    /// Until the input ends.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let started = Instant::now();
        let mut number = 0_u32;
        while let Some(line) = (self.lines)() {
            if self.board.is_done() {
                return Ok(());
            }
            number += 1;
            let order = self.parse(number, line)?;
            self.producer.send("orders", order.id, &order)?;
            self.board.ordered.add_one();
            if let Some(pace) = Duration::from_secs(1).checked_div(self.rate) {
                std::thread::sleep((pace * number).saturating_sub(started.elapsed()));
            }
        }
        self.board.all_ordered();
        self.producer.flush()
    }

    fn parse(&self, number: u32, line: io::Result<String>) -> Result<Order, Failure> {
        let order = line.and_then(|line| Ok(serde_json::from_str(&line)?));
        order.map_err(|error| Failure::new(format!("{}:{number}: not an order: {error}", self.input_name)))
    }
}
