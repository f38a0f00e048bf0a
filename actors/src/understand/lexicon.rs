//! Words and phrases with a meaning. A phrase is found by the keys of its words, in any spelling; a word written `=so` must
//! be spelt exactly so, because its key is shared with too many others. The longest phrase wins.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::fold::{Token, key};

/// What a word or phrase contributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// The thing ordered.
    Order,
    /// Something else that has a status or can be cancelled.
    OtherThing,
    /// Wanting to make an order.
    PlaceOrder,
    /// Asking for a place.
    Where,
    /// Asking for a time.
    When,
    /// Asking for news.
    Status,
    /// Following a parcel.
    Track,
    /// Coming, being delivered.
    Arrive,
    /// Lateness.
    Late,
    /// Still, until now.
    StillNot,
    /// Money back, goods back.
    Return,
    /// Paying.
    Payment,
    /// Calling off.
    Cancel,
    /// A person of the client's.
    Human,
    /// Somebody.
    Someone,
    /// Talking.
    Talk,
    /// Putting through.
    Connect,
    /// The client's service desk.
    Care,
    /// Asking what Caly is.
    AreYou,
    /// Ring me.
    CallMe,
    /// A telephone call, or calling.
    Call,
    /// The caller.
    Me,
    /// A time to come.
    Later,
    /// The caller will do it.
    IWill,
    /// A telephone word that asks for nothing.
    Noise,
    /// Parting.
    Bye,
    /// Thanks.
    Thanks,
    /// Kind words about a conversation.
    Praise,
    /// Kind words that greet.
    Greeting,
    /// Anger, urgency.
    Frustration,
    /// A thing bought, or one for sale.
    Goods,
    /// Nothing more is wanted.
    Done,
    /// The caller must go.
    Leave,
    /// `not`, `nahi`, `mat`: stands before or after.
    Not,
    /// `do not`, `never`: stands before.
    Dont,
    /// After a `nahi`: it *is* not, it does not *work*; no refusal.
    Ho,
    /// Do it.
    DoIt,
}

const PHRASES: &[(Meaning, &str)] = &[
    (
        Meaning::Order,
        "order|orders|ordered|ordar|parcel|parcels|package|packages|packet|shipment|delivery|deliveries|samaan|saman|\
         courier|consignment|my product|मेरा प्रोडक्ट|stuff i bought|=maal|ऑर्डर|पार्सल|पैकेट|पैकेज|सामान|डिलीवरी|कूरियर|\
         order number|order id|mera product|mera samaan",
    ),
    (
        Meaning::OtherThing,
        "flight|reservation|appointment|subscription|membership|loan|application|credit card|debit card|card|account|meeting|\
         alarm|timer|reminder|hotel|restaurant|table|ticket|tickets|insurance|visa|passport|policy|train|train ticket|luggage|plan|\
         class|trip|event|bank|password|balance|wallet|deposit|salary|direct deposit|bonus|withdrawal|transaction|weather|mausam|\
         song|gaana|movie|match|score|cricket|football|bus|cab|taxi|uber|pizza|food|khana|recipe|doctor|market|stock|\
         store|shop|dukan|website|app|offer|coupon|discount|warranty|invoice|bill|bills|gst|फ्लाइट|टिकट|मौसम|खाता|दुकान|अपॉइंटमेंट|सब्सक्रिप्शन",
    ),
    (
        Meaning::PlaceOrder,
        "place an order|place order|place a order|place my order|placing an order|want to order|like to order|wanna order|how to order|how do i order|can i order|\
         order karna hai|order karna|order karni|order dena|order dena hai|order karne|order kaise kare|naya order|new order|order lena|ऑर्डर करना|\
         ऑर्डर देना|नया ऑर्डर|minimum order|order online|bulk order|first order|order value|in order to|mail order|custom order|law and order|order food|order a|order some",
    ),
    (
        Meaning::Where,
        "where|wheres|whereabouts|kahan|kaha|kahaan|kidhar|kahan tak|कहाँ|कहां|किधर|location|locate|find my|how far",
    ),
    (
        Meaning::When,
        "=when|=wen|kab|kab tak|kabtak|कब|how long|how soon|how many days|how much time|kitne din|kitna time|kitna samay|kitni der|\
         कितने दिन|कितना टाइम|कितना समय|कितनी देर|=eta|expected date|delivery date|delivery time|expect",
    ),
    (
        Meaning::Status,
        "status|update|updates|sthiti|स्थिति|स्टेटस|अपडेट|haal|kya hua|क्या हुआ|progress|kya haal|what about|what happened to|whats happening with|\
         check on|jaankari|jankari|जानकारी|kuch pata nahi|pata karna|pata karo|पता करना|news on|any news|going on with|check if my|check if the|check to see if|see if my",
    ),
    (Meaning::Track, "track|tracking|tracked|traking|=trace|ट्रैक|ट्रैकिंग|tracking number|tracking id|order tracking"),
    (
        Meaning::Arrive,
        "arrive|arrived|arrives|arriving|come|coming|reach|reached|reaching|receive|received|recieve|recieved|deliver|delivered|delivering|ship|shipped|\
         dispatch|dispatched|out for delivery|get my order|get my parcel|get my package|get my product|get the product|aayega|aaega|ayega|aega|aayegi|aaegi|aa raha|a raha|aa rahi|aaya|aya|ayaa|aaye|aye|aayi|ayi|aai|\
         pahunchega|pohchega|pahuchega|pahunchegi|pahuncha|pohcha|pahucha|milega|milegi|mila|mili|deliver hoga|आएगा|आयेगा|आएगी|आ रहा|आ रही|आया|आयी|आई|\
         पहुंचेगा|पहुँचेगा|पहुंचेगी|पहुंचा|पहुँचा|मिलेगा|मिलेगी|मिला|मिली|डिलीवर|भेजा|nikla|निकला|be here|here yet|=due|already here|dropped off",
    ),
    (
        Meaning::Late,
        "late|delay|delayed|delays|deri|der|der ho|der se|देरी|देर|लेट|taking so long|taking so much time|so long|so many days|too long|itna time|itne din|इतने दिन|इतना टाइम|\
         stuck|atka|अटका|waiting for|waiting|wait kar|wait karte|intezaar|intezar|इंतज़ार|इंतजार",
    ),
    (Meaning::StillNot, "still|yet|abhi tak|abhitak|ab tak|abtak|अभी तक|अब तक|till now|till today"),
    (
        Meaning::Return,
        "refund|refunded|refunds|return|returns|returning|exchange|replace|replacement|paise wapas|paisa wapas|money back|wapas karna|vapas karna|रिफंड|रिटर्न|वापस करना|\
         पैसे वापस|damaged|broken|wrong product|galat|kharab|returned|wrong item|wrong order|wrong items|टूटा|खराब",
    ),
    (
        Meaning::Payment,
        "payment|pay|paid|paisa|paise|price|cost|cod|cash on delivery|emi|upi|charges|charge|kitne ka|keemat|पेमेंट|पैसा|पैसे|कीमत|address|pata badal|address change|pincode|\
         delivery charges|delivery charge|shipping charges|shipping cost|delivery fee|free delivery|available|deducted|debited|expired|expiry|authentic|kat gaya|kat gaye|kata|original|size|colour|color|deliver to|delivery boy|home delivery|location of your",
    ),
    (
        Meaning::Cancel,
        "cancel|cancil|cancle|canceled|cancelled|cancelling|canceling|cancellation|cancelation|cancelled it|radd|rad kar|rad karo|rad karna|radd kar|radd karo|=रद्द|रद्द|कैंसिल|कैंसल|कैन्सल|कैंसिलेशन|=निरस्त|\
         call off my order|dont want the order|dont want my order|dont want this order|dont want it anymore|no longer want|nahi chahiye order|order nahi chahiye|order nahin chahiye|ऑर्डर नहीं चाहिए|stop my order|order band|order hata|order hatao|ऑर्डर हटा",
    ),
    (
        Meaning::Human,
        "agent|agents|human|humans|human being|=person|=persons|live person|real person|actual person|executive|representative|rep|manager|supervisor|operator|insaan|insan|aadmi|admi|=banda|=bande|\
         एजेंट|इंसान|आदमी|मैनेजर|एग्जीक्यूटिव|अधिकारी|adhikari|ऑपरेटर|प्रतिनिधि|staff|live agent|senior|team member|human agent|sir se|madam se|your boss|owner|malik|मालिक",
    ),
    (
        Meaning::Someone,
        "someone|somebody|anyone|anybody|kisi|kisi se|किसी|किसी से|koi|कोई|real|actual|you people|your team|aap log",
    ),
    (
        Meaning::Talk,
        "talk|talking|speak|speaking|chat|chatting|conversation|converse|conversing|baat|batcheet|baatcheet|bat karna|bat karni|bat karao|baat karao|बात|बातचीत|discuss",
    ),
    (
        Meaning::Connect,
        "connect|connected|transfer|put me through|patch me|hand me over|jodo|jodiye|jod do|jod dijiye|=milao|mila do|mila dijiye|milwa|connect kar|on the line|जोड़|जोड़ो|मिला दो|मिला दीजिए|=मिलाओ|कनेक्ट|ट्रांसफर|escalate|\
         pass me to|get me|give me|de do|phone do|दे दो",
    ),
    (
        Meaning::Care,
        "customer care|customer support|customer service|contact support|call center|call centre|helpline|help desk|helpdesk|support team|customer care number|support number|contact number|contact details|\
         कस्टमर केयर|कस्टमर सपोर्ट|हेल्पलाइन|toll free|front desk|complaint department|grievance|complaint|complaints|=shikayat|=shikaayat|=शिकायत",
    ),
    (
        Meaning::AreYou,
        "are you a|are you an|are you|am i talking to|am i speaking|kya tum|kya aap|tum insaan|aap insaan|is this a|talking to a robot|kya main|क्या आप|क्या तुम|insaan ho|robot ho|insaan hain|human or",
    ),
    (
        Meaning::CallMe,
        "call me|call me back|calling me|ring me|ring me back|phone me|callback|call back|call us back|call back karo|give me a call|give me a ring|give me a buzz|have someone call|someone call me|have him call|have her call|mujhe call|mujhe phone|\
         mujhko call|mujhko phone|mereko call|mereko phone|hume call|humein call|hamein phone|wapas call|wapas phone|vapis call|call wapas|phone wapas|मुझे कॉल|मुझे फोन|मुझे फ़ोन|वापस कॉल|वापस फोन|कॉल बैक|कॉलबैक|हमें कॉल|हमें फोन|\
         arrange a call|schedule a call|request a call|need a call|want a call|phone back|reach me|call karwa|call karwao|call karva|phone karwa|get back to me|call my number|call on this number|is number par call|isi number par call|इस नंबर पर कॉल|इसी नंबर पर",
    ),
    (Meaning::Praise, "=nice|=great|=good|=glad|=pleasure|=pleasant|=enjoyed|=enjoyable|=fun|=cool|=wonderful|=lovely"),
    (
        Meaning::Greeting,
        "nice to see you|good to see you|great to see you|nice to meet you|good to hear|good morning|good evening|good afternoon|namaste|नमस्ते|hello|=hi",
    ),
    (
        Meaning::Frustration,
        "useless|pathetic|=fraud|=frauds|=fraudster|=cheat|=cheating|=cheated|waste of time|poor service|bad service|worst|worst service|ridiculous|bakwas|bakwaas|bekaar service|bekar service|ghatiya|poor customer|fed up|\
         very urgent|this is urgent|extremely urgent|an emergency|no one is answering|बकवास|घटिया|धोखा|pareshan ho gaya|परेशान हो गया|not helping|not helpful|dont understand me|youre not understanding|samajh nahi rahe",
    ),
    (Meaning::Goods, "product|products|item|items|purchase|goods|maal|प्रोडक्ट|चीज़"),
    (Meaning::Call, "call|kal call|phone|fon|कॉल|फोन|फ़ोन|=ring|contact"),
    (Meaning::Me, "=me|mujhe|mujhko|mereko|मुझे|मुझको|=us|=hamein|=humein|हमें"),
    (
        Meaning::Later,
        "later|later on|baad mein|baad me|baadme|बाद में|bad mein|tomorrow|kal|कल|evening|shaam|sham|शाम|morning|subah|सुबह|afternoon|dopahar|दोपहर|tonight|raat|thodi der|थोड़ी देर|\
         after some time|in an hour|in a while|half an hour|in ten minutes|in some time|ghante baad|घंटे बाद|minute baad|मिनट बाद|monday|tuesday|wednesday|thursday|friday|saturday|sunday|somvar|=parso|=परसों|=परसो|next week|\
         dobara|दोबारा|phir se|fir se|busy|free hoon|when im free|back|wapas|वापस|baje|बजे|another time",
    ),
    (
        Meaning::IWill,
        "i will call|ill call|i shall call|let me call|i can call|i would call|i will ring|ill ring|i called|i had called|i tried calling|i am calling|im calling|i was calling|main call karunga|main call karungi|\
         call karunga|call karungi|call karta hun|call karta hoon|call karti hoon|call karta hu|phone karunga|phone karungi|phone karta hoon|phone karti hoon|call kiya tha|phone kiya tha|call kar raha|कॉल करूंगा|कॉल करूँगा|कॉल करूंगी|\
         कॉल करता हूं|कॉल करता हूँ|फोन करूंगा|फोन करूँगा|कॉल किया था|फोन किया था|ill call back|i will call back|call back later karunga|i will get back|ill get back",
    ),
    (
        Meaning::Noise,
        "cancel kyu kiya|cancel kyun kiya|cancel kyon kiya|कैंसिल क्यों किया|why was my order cancelled|why did you cancel|who cancelled|phone number|mobile number|mobile phone|phone call|missed call|phone case|phone cover|got a call|received a call|call aaya|call aya|phone aaya|call cut|phone nahi utha|call drop|=called|call laga|फोन नंबर|कॉल आया|फोन आया|\
         what do you call|conference call|call recording|smart phone|come back|go back|come on|how come|not picking|picking up",
    ),
    (
        Meaning::Bye,
        "=bye|good bye|goodbye|gudbye|bye bye|byebye|buhbye|=byee|=byeee|ta ta|tata|=tata|alvida|अलविदा|बाय|बाय बाय|गुडबाय|see you|see ya|=cya|catch you later|catch you around|talk to you later|talk later|take care|have a good day|\
         have a nice day|have a great day|have a good one|good night|see you later|catch you later|shubh ratri|शुभ रात्रि|phir milenge|phir baat karte|phir baat karenge|phir baat karta|phir baat karti|फिर बात करते|फिर बात करेंगे|baad mein baat karte|fir milenge|फिर मिलेंगे|farewell|so long then|adios|until next time|khuda hafiz|allah hafiz|\
         nice talking|nice to talk|nice talking to you|good talking|great talking|nice chatting|nice chat|great chat|thanks for chatting|thanks for talking|pleasure talking|accha chalta|acha chalta|chalo bye|ok bye|ram ram ji|peace out|=ttyl|signing off|cheerio",
    ),
    (
        Meaning::Thanks,
        "thank|thanks|thank you|thankyou|thank u|thx|dhanyavaad|dhanyavad|dhanyawad|dhanyabad|shukriya|sukriya|धन्यवाद|शुक्रिया|थैंक्यू|थैंक यू|थैंक्स|meherbani|मेहरबानी|much appreciated",
    ),
    (
        Meaning::Done,
        "thats all|thats everything|that is everything|that is all|thatll be all|that will be all|that would be all|nothing else|nothing more|no more questions|im done|i am done|we are done|all done|bas itna hi|bas itna|bas yahi|bas yehi|itna hi|aur kuch nahi|aur kuch nahin|kuch nahi bas|\
         bas theek hai|bas ho gaya|kaam ho gaya|बस इतना ही|बस यही|और कुछ नहीं|काम हो गया|बस हो गया|बस ठीक है|ho gaya mera kaam|all set|im good thanks|no thats all|end the call|end this call|hang up|disconnect the call|call band|call kaat|call cut karo|phone kaat",
    ),
    (
        Meaning::Leave,
        "i have to go|i need to go|i must go|i got to go|ive got to go|gotta go|got to go|gotta run|got to run|have to leave|need to leave|i am leaving|im leaving|im off|phone rakhta|phone rakhti|phone rakh|rakhta hoon|rakhti hoon|rakhta hun|rakhta hu|rakhti hun|\
         main chalta hoon|main chalti hoon|chalta hun|chalta hoon|chalti hoon|chalta hu|फोन रखता|फोन रखती|रखता हूं|रखता हूँ|रखती हूं|रखती हूँ|चलता हूं|चलता हूँ|चलती हूँ|get going|be going now|be leaving now|main nikalta|nikalti hoon",
    ),
    (
        Meaning::Not,
        "=not|mat karo|mat karna|mat kijiye|mat kariye|मत करो|मत करना|nahi|nahin|nhi|=nai|naheen|नहीं|नही|=mat|मत|=na|ना|=naa|without|bina|बिना|instead of",
    ),
    (
        Meaning::Dont,
        "=dont|do not|=didnt|did not|never|=doesnt|does not|=havent|have not|=wont|will not|=shouldnt|should not|not want|no need to|rather not",
    ),
    (
        Meaning::Ho,
        "=ho|=hua|=hui|=hue|=hota|=hoti|=pa|=paa|=paya|=paayi|=paye|=raha|=rahi|हो|हुआ|हुई|होता|पा|पाया|रहा|रही",
    ),
    (
        Meaning::DoIt,
        "kar do|kardo|kar dijiye|kar dijie|kardijiye|karo|kariye|kijiye|karna hai|karni hai|karwa do|karwana hai|karao|karaiye|kara do|kar dena|kar de|kar sakte|kar lena|कर दो|कर दीजिए|कर दीजिये|करो|करिए|कीजिए|करना है|करनी है|करवा दो|कराओ|कराइए|करा दो|कर देना|कर दें|करें|करवाना है|karein|karen|chahiye|chahie|chahta|chahti|चाहिए|चाहता|चाहती",
    ),
];

/// A phrase but for its first word, and what it means.
struct Rest {
    words: Vec<Word>,
    meaning: Meaning,
}

enum Word {
    Key(String),
    Exact(&'static str),
}

struct Phrases {
    by_key: HashMap<String, Vec<Rest>>,
    by_word: HashMap<&'static str, Vec<Rest>>,
}

/// English words too short for a key to tell apart.
const PARTICLES: [&str; 22] = [
    "me", "my", "us", "a", "an", "i", "to", "be", "do", "it", "in", "on", "up", "is", "am", "of", "the", "you", "are",
    "for", "at", "im",
];

static LEXICON: LazyLock<Phrases> = LazyLock::new(|| {
    let mut phrases = Phrases { by_key: HashMap::new(), by_word: HashMap::new() };
    for (meaning, list) in PHRASES {
        for phrase in list.split('|').map(str::trim) {
            let mut words = phrase.split_whitespace().map(|text| {
                // Names of other things are English nouns whose keys would catch Hindi verbs; in a phrase, so would
                // `me`, `my` and their like.
                let short = phrase.contains(' ') && PARTICLES.contains(&text);
                word(text, short || *meaning == Meaning::OtherThing)
            });
            let Some(first) = words.next() else { continue };
            let rest = Rest { words: words.collect(), meaning: *meaning };
            match first {
                Word::Key(key) => phrases.by_key.entry(key).or_default().push(rest),
                Word::Exact(word) => phrases.by_word.entry(word).or_default().push(rest),
            }
        }
    }
    phrases
});

fn word(text: &'static str, exact: bool) -> Word {
    if exact {
        return Word::Exact(text.trim_start_matches('='));
    }
    // `call` and `kal` (tomorrow) sound alike and often stand side by side.
    if matches!(text, "call" | "kal" | "कल") {
        return Word::Exact(text);
    }
    if let Some(word) = text.strip_prefix('=') {
        return Word::Exact(word);
    }
    // A key this short is shared with articles and particles: `aaya` with `a`, `yet` with `it`.
    let key = key(text);
    if key.len() < 3 { Word::Exact(text) } else { Word::Key(key) }
}

fn matches(word: &Word, token: &Token) -> bool {
    match word {
        Word::Key(key) => *key == token.key,
        Word::Exact(exact) => *exact == token.raw,
    }
}

/// A meaning and the words it covers, from the first to the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) meaning: Meaning,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// What the words mean, in order; each word counts once.
pub(super) fn meanings(tokens: &[Token]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match longest(&tokens[at..]) {
            Some((meaning, length)) => {
                found.push(Found { meaning, first: at, last: at + length - 1 });
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

fn longest(tokens: &[Token]) -> Option<(Meaning, usize)> {
    let (first, others) = tokens.split_first()?;
    let exact = LEXICON.by_word.get(first.raw.as_str());
    let keyed = LEXICON.by_key.get(&first.key);
    // The later of two equals wins, so the exact one comes last.
    keyed
        .into_iter()
        .chain(exact)
        .flatten()
        .filter(|rest| {
            rest.words.len() <= others.len() && rest.words.iter().zip(others).all(|(word, token)| matches(word, token))
        })
        .max_by_key(|rest| rest.words.len())
        .map(|rest| (rest.meaning, rest.words.len() + 1))
}
