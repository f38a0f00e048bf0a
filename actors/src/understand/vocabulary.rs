//! What words mean to dates, times, numbers and amounts: one lookup per word, in three scripts.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::fold::{Token, sound};

/// The meaning of one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// 0 to 99; English tens take a further digit.
    Small(u8, Tongue),
    /// 100, 1,000, 100,000 …
    Times(u64),
    /// *aadha*, *half*.
    Half,
    /// *sava*: a quarter more.
    Sava,
    /// *dedh*: one and a half.
    Dedh,
    /// *dhai*: two and a half.
    Dhai,
    /// *paune*: a quarter less.
    Paune,
    /// *saadhe*: a half more.
    Saadhe,
    /// *quarter*.
    Quarter,
    /// *double*, *triple*: how often the next digit is meant.
    Repeat(usize),
    /// *point*, *dashamlav*.
    Point,
    /// Joins parts of a number or of a range.
    And,
    /// A length of time, by its place in [`Unit`].
    Unit(Unit),
    /// 0 is Monday.
    Weekday(u8),
    /// 1 is January.
    Month(u8),
    /// A day so many days from today.
    Day(i8),
    /// *kal*, *parso*: so many days off, in either direction.
    Either(i8),
    /// A part of the day.
    Part(Part),
    /// *baje*, *o'clock*.
    Oclock,
    /// *bajkar*: minutes follow.
    Bajkar,
    /// *bajne*: minutes to the hour follow.
    Bajne,
    Am,
    Pm,
    Next,
    This,
    Last,
    /// *baad*, *later*, *after*.
    After,
    /// *pehle*, *ago*, *before*.
    Ago,
    /// *in*, *mein*.
    Within,
    /// *past*.
    Past,
    /// *to*, *tak*, *till*, *until*.
    Till,
    /// *se*, *from*, *between*.
    From,
    /// *tarikh*, *date*.
    Tarikh,
    /// *and a half* behind a number or a unit.
    AndHalf,
    AndQuarter,
    /// *a*, *an*.
    Article,
    Now,
    /// *on*: a bare ordinal behind it is a day of the month.
    On,
    /// *at*: a bare number behind it may be a time.
    At,
    /// *on*, *ko*, *ke*, *ki*, *ka*, *of*, *the*: stands between parts of a time.
    Link,
    Weekend,
    Rupee,
    Paisa,
    /// *first*, *pehla*, *doosri*.
    Ordinal(u8),
}

/// In which language a number word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tongue {
    English,
    Hindi,
}

/// Lengths of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// Parts of a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Dawn,
    Morning,
    Noon,
    Afternoon,
    Evening,
    Night,
    Midnight,
}

/// What a word may mean, by its exact spelling. Words of five sounds and more are also found by their sound.
const WORDS: &[(Word, &str)] = &[
    (Word::Times(100), "hundred hundreds sau सौ हंड्रेड"),
    (Word::Times(1_000), "thousand thousands hazaar hazar hajaar hajar hjar hzar हज़ार हजार थाउजेंड"),
    (Word::Times(100_000), "lakh lakhs lac lacs laakh lacks लाख"),
    (Word::Times(10_000_000), "crore crores karod karor करोड़ करोड"),
    (Word::Times(1_000_000_000), "arab billion अरब"),
    (Word::Times(1_000_000), "million millions"),
    (Word::Half, "half aadha adha aadhe adhe aadhi adhi आधा आधे आधी हाफ"),
    (Word::Sava, "sava sawa savaa सवा"),
    (Word::Dedh, "dedh derh dhedh डेढ़ डेढ"),
    (Word::Dhai, "dhai dhaai adhai adhaai dhayi ढाई अढ़ाई अढाई"),
    (Word::Paune, "paune pone pauna pauney paun पौने पौना पौन"),
    (Word::Saadhe, "saadhe sadhe saade sade साढ़े साढे साड़े"),
    (Word::Quarter, "quarter quarters"),
    (Word::Repeat(2), "double dubble dabal डबल"),
    (Word::Repeat(3), "triple tripple treble ट्रिपल"),
    (Word::Point, "point dashamlav dashamlab dashmlav dasamlav पॉइंट पाइंट दशमलव"),
    (Word::And, "and aur और n"),
    (Word::Unit(Unit::Second), "second seconds sec secs sekand सेकंड सेकेंड सेकण्ड"),
    (Word::Unit(Unit::Minute), "minute minutes min mins minat mint मिनट मिनिट मिनटों"),
    (Word::Unit(Unit::Hour), "hour hours hr hrs ghanta ghante ghanton ghnta ghnte ghantey घंटा घंटे घंटों घण्टा घण्टे"),
    (Word::Unit(Unit::Day), "day days din dino dinon दिन दिनों रोज"),
    (
        Word::Unit(Unit::Week),
        "week weeks hafta hafte hafton haftey saptah saptaah wk wks हफ्ता हफ्ते हफ़्ता हफ़्ते हफ्तों सप्ताह वीक",
    ),
    (
        Word::Unit(Unit::Month),
        "month months mahina mahine maheena maheene mahino mahinon maah mahiney महीना महीने महिना महिने महीनों माह मंथ",
    ),
    (Word::Unit(Unit::Year), "year years saal sal saalon baras varsh yr yrs साल सालों वर्ष बरस"),
    (Word::Weekday(0), "monday mondays somvaar somvar somwar somwaar mon mnday सोमवार मंडे मन्डे"),
    (Word::Weekday(1), "tuesday tuesdays mangalvaar mangalvar mangalwar mangalwaar tue tues मंगलवार ट्यूसडे"),
    (Word::Weekday(2), "wednesday wednesdays budhvaar budhvar budhwar budhwaar budh wed बुधवार वेडनेसडे बुध"),
    (
        Word::Weekday(3),
        "thursday thursdays guruvaar guruvar guruwar guruwaar brihaspativar brihaspativaar veervar veervaar veerwar thu thur thurs गुरुवार गुरूवार बृहस्पतिवार वीरवार थर्सडे",
    ),
    (
        Word::Weekday(4),
        "friday fridays shukravaar shukravar shukrawar shukrawaar shukrvar shukrwar jumma jumme juma fri शुक्रवार फ्राइडे जुम्मा",
    ),
    (Word::Weekday(5), "saturday saturdays shanivaar shanivar shaniwar shaniwaar shanichar शनिवार सैटरडे शनिचर"),
    (
        Word::Weekday(6),
        "sunday sundays ravivaar ravivar raviwar raviwaar itvaar itwar itvar itwaar रविवार इतवार संडे सन्डे",
    ),
    (Word::Month(1), "january janvari janwari janvary januari jan जनवरी जैनुअरी"),
    (Word::Month(2), "february farvari farwari pharvari feb फरवरी फ़रवरी"),
    (Word::Month(3), "march maarch मार्च"),
    (Word::Month(4), "april aprail aprel अप्रैल"),
    (Word::Month(5), "may मई"),
    (Word::Month(6), "june joon जून"),
    (Word::Month(7), "july julai जुलाई"),
    (Word::Month(8), "august agast agust aug अगस्त"),
    (Word::Month(9), "september sitambar sitamber sept सितंबर सितम्बर"),
    (Word::Month(10), "october aktubar aktoobar oktobar oct अक्टूबर अक्तूबर"),
    (Word::Month(11), "november navambar navamber nov नवंबर नवम्बर"),
    (Word::Month(12), "december disambar disamber dec दिसंबर दिसम्बर"),
    (Word::Day(0), "today aaj aj आज टुडे"),
    (Word::Day(1), "tomorrow tommorow tomorow tomorrows tmrw tmr tomo टुमारो टुमॉरो"),
    (Word::Day(-1), "yesterday yesterdays"),
    (Word::Either(1), "kal कल"),
    (Word::Either(2), "parso parson parsoon परसों परसो"),
    (Word::Either(3), "narso narson tarso tarson नरसों तरसों नरसो"),
    (Word::Part(Part::Dawn), "tadke savere sawere तड़के सवेरे भोर"),
    (Word::Part(Part::Morning), "morning subah subha subeh sube सुबह सुबे मॉर्निंग"),
    (Word::Part(Part::Noon), "noon midday"),
    (Word::Part(Part::Afternoon), "afternoon dopahar dopaher dopehar dophar duphar दोपहर आफ्टरनून"),
    (Word::Part(Part::Evening), "evening shaam sham shyam saam शाम ईवनिंग इवनिंग"),
    (Word::Part(Part::Night), "night tonight raat rat raatko रात नाइट"),
    (Word::Part(Part::Midnight), "midnight aadhirat"),
    (Word::Oclock, "baje bje bajey bje baj oclock clock बजे बज"),
    (Word::Bajkar, "bajkar bajke bajkr baje-kar बजकर बजके"),
    (Word::Bajne, "bajne बजने"),
    (Word::Am, "am एएम"),
    (Word::Pm, "pm पीएम"),
    (Word::Next, "next agla agle agli aane aanewale coming upcoming अगला अगले अगली आने नेक्स्ट आगामी"),
    (Word::This, "this is isi iss yeh इस इसी"),
    (Word::Last, "last pichla pichle pichli pichhla pichhle pichhli previous gaye guzre पिछला पिछले पिछली बीते गत"),
    (Word::After, "baad later after bad hence बाद पश्चात"),
    (Word::Ago, "pehle pahle phle pehley ago before back पहले पूर्व"),
    (Word::Within, "in within mein me main andar bheetar में अंदर भीतर"),
    (Word::Past, "past"),
    (Word::Till, "to tak till until by upto तक"),
    (Word::From, "se from between since से बीच"),
    (Word::Tarikh, "tarikh taarikh tareekh tarik date dated तारीख तारीख़ डेट"),
    (Word::Link, "ko ke ki ka par pe पर पे of the को के की का wale wali वाले वाली"),
    (Word::At, "at"),
    (Word::On, "on"),
    (Word::Article, "a an"),
    (Word::Now, "now abhi अभी"),
    (Word::Weekend, "weekend weekends वीकेंड"),
    (
        Word::Rupee,
        "rupee rupees rupaye rupay rupya rupaya rupiya rupiye rupye rupe rs inr bucks रुपये रुपए रुपया रूपये रूपए रुपयों रु",
    ),
    (Word::Paisa, "paisa paise पैसे पैसा"),
    (Word::Ordinal(1), "first pehla pehli pahla pahli pratham पहला पहली प्रथम फर्स्ट"),
    (Word::Ordinal(2), "dusra dusri dusre doosra doosri doosre dwitiya दूसरा दूसरी दूसरे द्वितीय सेकंड"),
    (Word::Ordinal(3), "third teesra teesri teesre tisra tisri tritiya तीसरा तीसरी तीसरे तृतीय थर्ड"),
    (Word::Ordinal(4), "fourth chautha chauthi chauthe chaturth चौथा चौथी चौथे चतुर्थ"),
    (
        Word::Ordinal(5),
        "fifth paanchva paanchvi panchva panchvi paanchwa paanchwi पांचवा पाँचवा पांचवां पाँचवाँ पांचवी पाँचवी पांचवीं पंचम",
    ),
    (Word::Ordinal(6), "sixth chhatha chhati chhathi chatha chatthi छठा छठी छठवां छठे षष्ठ"),
    (Word::Ordinal(7), "seventh saatva saatvi satva satvi saatwa saatwi सातवां सातवाँ सातवा सातवीं सातवी सप्तम"),
    (Word::Ordinal(8), "eighth aathva aathvi aathwa aathwi आठवां आठवाँ आठवा आठवीं आठवी अष्टम"),
    (Word::Ordinal(9), "ninth nauva nauvi nauwa nauwi नौवां नौवाँ नौवा नौवीं नवां नवीं नवी नवम"),
    (Word::Ordinal(10), "tenth dasva dasvi daswa daswi दसवां दसवाँ दसवा दसवीं दसवी दशम"),
    (Word::Ordinal(11), "eleventh gyarahva gyarhva ग्यारहवां ग्यारहवाँ ग्यारहवा ग्यारहवीं"),
    (Word::Ordinal(12), "twelfth barahva बारहवां बारहवाँ बारहवा बारहवीं"),
    (Word::Ordinal(13), "thirteenth तेरहवां तेरहवाँ तेरहवीं"),
    (Word::Ordinal(14), "fourteenth चौदहवां चौदहवाँ चौदहवीं"),
    (Word::Ordinal(15), "fifteenth pandrahva पंद्रहवां पंद्रहवाँ पन्द्रहवां पंद्रहवीं"),
    (Word::Ordinal(16), "sixteenth सोलहवां सोलहवाँ"),
    (Word::Ordinal(17), "seventeenth सत्रहवां सत्रहवाँ"),
    (Word::Ordinal(18), "eighteenth अठारहवां अठारहवाँ"),
    (Word::Ordinal(19), "nineteenth उन्नीसवां उन्नीसवाँ"),
    (Word::Ordinal(20), "twentieth beesva बीसवां बीसवाँ बीसवीं"),
    (Word::Ordinal(30), "thirtieth तीसवां तीसवाँ"),
];

/// 0 to 10, English and Hindi. Found by exact spelling alone: their sounds would catch half the language.
const UNITS: [(&str, &str); 11] = [
    ("zero nil nought ज़ीरो जीरो ज़िरो", "shunya shoonya sunya jiro शून्य सिफर"),
    ("one वन", "ek एक १"),
    ("two टू", "do दो"),
    ("three थ्री", "teen tin तीन"),
    ("four फोर", "char chaar chaaar चार"),
    ("five फाइव", "paanch panch paach pach पांच पाँच पाच"),
    ("six सिक्स", "chhe che cheh chhah chah chhai chay chey छह छः छे छ"),
    ("seven सेवन", "saat sat7 सात"),
    ("eight एट", "aath ath आठ"),
    ("nine नाइन", "nau नौ"),
    ("ten टेन", "das dus दस"),
];

/// 11 to 90 in English, also as a recogniser of Hindi writes it.
const ENGLISH: [(u8, &str); 17] = [
    (11, "eleven इलेवन"),
    (12, "twelve ट्वेल्व"),
    (13, "thirteen थर्टीन"),
    (14, "fourteen फोर्टीन"),
    (15, "fifteen फिफ्टीन"),
    (16, "sixteen सिक्सटीन"),
    (17, "seventeen सेवनटीन"),
    (18, "eighteen एटीन"),
    (19, "nineteen नाइनटीन"),
    (20, "twenty ट्वेंटी"),
    (30, "thirty थर्टी"),
    (40, "forty fourty फोर्टी"),
    (50, "fifty फिफ्टी"),
    (60, "sixty सिक्सटी"),
    (70, "seventy सेवंटी"),
    (80, "eighty एटी"),
    (90, "ninety नाइंटी"),
];

/// 11 to 99 in Hindi, in order: spellings of one number are joined by `/`.
const HINDI: &str = "gyarah/gyara/gyaara/ग्यारह barah/baara/bara/बारह terah/tera13/तेरह chaudah/chauda/choudah/chouda/चौदह pandrah/pandra/pundrah/पंद्रह/पन्द्रह \
    solah/sola/सोलह satrah/satra/सत्रह atharah/athara/attharah/अठारह unnis/unees/unnees/उन्नीस bees/bis/बीस \
    ikkis/ikees/ikkees/इक्कीस bais/baees/बाईस/बाइस teis/teyis/taees/तेईस/तेइस chaubis/chaubees/chobis/choubis/चौबीस pachis/pachees/pacchis/पच्चीस \
    chhabbis/chabbis/chhabbees/chabbees/chhabis/chabis/छब्बीस sattais/sataees/सत्ताईस/सत्ताइस atthais/athais/atthaees/attaees/attais/अट्ठाईस/अट्ठाइस/अठाईस untis/unatis/untees/उनतीस/उन्तीस tees/tis/तीस \
    ikattis/iktees/इकतीस/इकत्तीस battis/batis/बत्तीस taintis/tetis/tentis/तैंतीस/तेंतीस chauntis/chautis/chauntees/chautees/चौंतीस/चौतीस paintis/pentis/paintees/पैंतीस/पैतीस \
    chhattis/chattis/chhattees/chattees/chhatis/छत्तीस saintis/sentis/सैंतीस adtis/artis/अड़तीस untalis/unchalis/उनतालीस/उन्तालीस chalis/chaalis/chalees/चालीस \
    iktalis/iktaalis/इकतालीस bayalis/bayaalis/byalis/बयालीस taintalis/tetalis/taintalees/तैंतालीस/तेतालीस/तैतालीस chavalis/chauvalis/chawalis/चवालीस/चौवालीस paintalis/pentalis/पैंतालीस \
    chhiyalis/chiyalis/छियालीस saintalis/sentalis/सैंतालीस adtalis/artalis/अड़तालीस unchas/unachas/उनचास/उन्चास pachas/pachaas/पचास \
    ikyavan/ikyawan/ikavan/इक्यावन bavan/bawan/बावन tirpan/tirepan/तिरपन/तिरेपन chauvan/chawan/चौवन/चव्वन pachpan/pachapan/पचपन \
    chhappan/chappan/छप्पन sattavan/satawan/sattawan/सत्तावन atthavan/athawan/अट्ठावन/अठावन unsath/unsaath/उनसठ saath/sath/साठ \
    iksath/iksaath/इकसठ basath/baasath/बासठ tirsath/tresath/तिरसठ/तिरेसठ chaunsath/chausath/चौंसठ painsath/pensath/पैंसठ \
    chhiyasath/chiyasath/छियासठ sadsath/sarsath/सड़सठ adsath/arsath/अड़सठ unhattar/unahattar/उनहत्तर/उनहतर sattar/satar/सत्तर \
    ikhattar/ikahattar/इकहत्तर bahattar/bahatar/बहत्तर tihattar/tehattar/तिहत्तर chauhattar/चौहत्तर pachhattar/pachattar/पचहत्तर/पिचहत्तर \
    chhihattar/chihattar/छिहत्तर satahattar/sathattar/सतहत्तर athhattar/athattar/अठहत्तर unyasi/unasi/उन्यासी/उनासी assi/asi/अस्सी \
    ikyasi/इक्यासी bayasi/byasi/बयासी tirasi/terasi/तिरासी chaurasi/चौरासी pachasi/पचासी/पिचासी \
    chhiyasi/chiyasi/छियासी sattasi/satasi/सत्तासी/सतासी atthasi/athasi/अट्ठासी/अठासी navasi/nawasi/नवासी nabbe/navve/nabe/नब्बे \
    ikyanve/ikyanbe/इक्यानवे/इक्यानबे banve/baanve/बानवे/बानबे tiranve/तिरानवे/तिरानबे chauranve/चौरानवे/चौरानबे pachanve/panchanve/पचानवे/पंचानवे/पंचानबे \
    chhiyanve/chiyanve/छियानवे/छियानबे sattanve/satanve/सत्तानवे/सतानवे atthanve/athanve/अट्ठानवे/अठानवे ninyanve/ninanve/निन्यानवे/निन्यानबे";

/// Spellings that mean something else far more often, and are found by no sound.
const NEVER_BY_SOUND: [&str; 3] = ["mandi", "fort", "मंडी"];
/// Fewest sounds of a word that is found by its sound.
const SOUNDS_MIN: usize = 5;

struct Words {
    exact: HashMap<&'static str, Word>,
    sounds: HashMap<String, Word>,
}

static VOCABULARY: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Words { exact: HashMap::new(), sounds: HashMap::new() };
    let mut ambiguous: Vec<String> = Vec::new();
    let mut add = |spellings: std::str::SplitWhitespace<'static>, word: Word, by_sound: bool| {
        for spelling in spellings {
            words.exact.entry(spelling).or_insert(word);
            let heard = sound(spelling);
            if by_sound && heard.len() >= SOUNDS_MIN {
                match words.sounds.get(&heard) {
                    Some(other) if *other != word => ambiguous.push(heard),
                    Some(_) => {}
                    None => drop(words.sounds.insert(heard, word)),
                }
            }
        }
    };
    for (value, (english, hindi)) in (0..).zip(UNITS) {
        add(english.split_whitespace(), Word::Small(value, Tongue::English), false);
        add(hindi.split_whitespace(), Word::Small(value, Tongue::Hindi), false);
    }
    for (word, spellings) in WORDS {
        let by_sound = !matches!(word, Word::Link | Word::From | Word::Till | Word::Within | Word::Last | Word::Next);
        add(spellings.split_whitespace(), *word, by_sound);
    }
    for (value, spellings) in ENGLISH {
        add(spellings.split_whitespace(), Word::Small(value, Tongue::English), true);
    }
    for (value, spellings) in (11..).zip(HINDI.split_whitespace()) {
        for spelling in spellings.split('/') {
            add(spelling.split_whitespace(), Word::Small(value, Tongue::Hindi), true);
        }
    }
    // `chaubees` and `chhabbees` sound alike: neither is found by its sound.
    for sound in ambiguous {
        words.sounds.remove(&sound);
    }
    words
});

/// What a word means here, if anything.
pub(super) fn word(token: &Token) -> Option<Word> {
    let raw = token.raw.as_str();
    if let Some(word) = VOCABULARY.exact.get(raw) {
        return Some(*word);
    }
    // A precomposed and a combined nukta are the same letter, a chandrabindu an anusvara.
    let heard = token.sound.as_str();
    if heard.len() < SOUNDS_MIN || NEVER_BY_SOUND.contains(&raw) {
        return None;
    }
    VOCABULARY.sounds.get(heard).copied()
}
