//! Where the field has a word, no file has a picture of its own.

use super::{markdown_pages, sources};

/// Pictures that once stood here, with the words in their place. Written in halves, so that this file does not hold them.
const PICTURES: [(&str, &str); 4] = [
    (concat!("do", "or"), "way in, integration"),
    (concat!("hand", "-over"), "delivery"),
    (concat!("la", "ne"), "backend set"),
    (concat!("lad", "der"), "precedence"),
];

#[test]
fn no_file_has_a_picture_where_the_field_has_a_word() {
    let mut wrong = Vec::new();
    for file in sources().into_iter().chain(markdown_pages()) {
        for (number, line) in file.text.lines().enumerate() {
            let line = line.to_lowercase();
            // An underscore parts the words of a name, as a blank those of a sentence.
            let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
            let is = |word: &str, picture: &str| word == picture || word.strip_suffix('s') == Some(picture);
            let found = words.find_map(|word| PICTURES.iter().find(|(picture, _)| is(word, picture)));
            wrong.extend(found.map(|(picture, word)| format!("{}:{}: {picture}, not {word}", file.path, number + 1)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
