//! The words of a yes and of a no, by what each does in it. Every word is spelled out: what sounds alike is another word.

use std::sync::LazyLock;

use super::fold::Token;
use super::words::Words;

type List = LazyLock<Words>;

/// Agreement, whatever is said again behind it.
pub(super) static YES: List = LazyLock::new(|| {
    Words::exact(
        "oke okie hn hau hnji obviously yes yeah yep yup yas ya haan haa han hanji haanji ji jii jee हाँ हां जी हांजी हाँजी यस ok okk okay okey ओके sure श्योर shure bilkul bilkool \
        बिल्कुल बिलकुल theek thik teek ठीक absolutely definitely exactly certainly agree agreed alright affirmative confirm \
        confirmed kanfarm कन्फर्म कंफर्म yea aye surely precisely ofcourse accurate roger agreeable sehmat सहमत raazi razi राज़ी राजी beshak बेशक \
        chalega chalegi चलेगा चलेगी accept accepted barabar बराबर true indeed yess yass haanjee haaji jihaan जीहाँ absolutly avashya अवश्य pakka पक्का manzoor manjoor मंज़ूर मंजूर zaroor zarur jarur jaroor ज़रूर जरूर",
    )
});
/// Agreement only by themselves: before other words they ask for something ("please change it") or tell what is right.
pub(super) static WEAK: List = LazyLock::new(|| {
    Words::exact(
        "please plz pls right correct sahi सही done डन ha हा chalo चलो chaliye चलिए fine फाइन perfect परफेक्ट राइट करेक्ट प्लीज प्लीज़ great good cool works badhiya बढ़िया mast मस्त",
    )
});
/// Of those, mere politeness.
pub(super) static POLITE: List = LazyLock::new(|| Words::exact("please plz pls प्लीज प्लीज़"));
/// *Do it*, as an answer.
pub(super) static DO: List = LazyLock::new(|| {
    Words::exact(
        "kr krdo krdijiye kardo kar karo karde kardein de lijiye aagey badha kijiye kariye do dijiye dijie deo kardijiye kardeejiye go ahead proceed badho badhiye badhaiye \
        karwa kara karva lagwa lagva le lo lena dena lijie process \
        कर करो करिये करदो करदीजिए दे दो कीजिए करिए दीजिए दीजिये कीजिये बढ़ो बढ़िए बढ़ा लीजिए लीजिये करवा ले लो लेना देना प्रोसेस",
    )
});
/// What gives, takes or sends behind a verb is part of it ("kar do"); by itself it asks for a thing ("order de do").
pub(super) static GIVES: List = LazyLock::new(|| {
    Words::exact("de do dijiye dijie deo le lo lijiye lijie lena dena दे दो दीजिए दीजिये ले लो लीजिए लीजिये लेना देना")
});
/// Verbs that such a word may stand behind.
pub(super) static STEMS: List = LazyLock::new(|| {
    Words::exact(
        "kr kar kara karwa karva karde badha badhaa hi bhi rakh likh note fix hata mita badal badalwa de le kar wapas cancel book return delete \
        कर करा करवा बढ़ा ही भी रख लिख नोट फिक्स हटा मिटा बदल दे ले वापस please plz pls yes i ok okay kindly just sure yeah you lets",
    )
});
/// Booking, in the words of callers: "haan likh lo".
pub(super) static KEEPS: List = LazyLock::new(|| {
    Words::exact("rakh rakhiye rakho rakhna likh likho note fix fixed block रख रखिए रखो लिख लिखो लिखिए नोट फिक्स")
});
/// What makes *put it right* of a word for *right*: "sahi karo".
pub(super) static MEND: List = LazyLock::new(|| {
    Words::exact(
        "kar karo kardo karde karke karwa karwao kijiye kariye do dijiye it कर करो कर दो कीजिए करिए दीजिए करवा करवाओ this that",
    )
});
pub(super) static RIGHT: List = LazyLock::new(|| Words::exact("sahi सही theek thik teek ठीक correct right"));
/// Politeness, and what carries no meaning of its own.
pub(super) static FILLER: List = LazyLock::new(|| {
    Words::exact(
        "bhai bhaiya bhaiyya bhaiyaa sir saab sahab madam maam mam dear beta didi boss yaar thanks thankyou shukriya \
        dhanyavaad dhanyavad धन्यवाद शुक्रिया थैंक्यू सर मैडम भाई भैया दीदी बेटा kripya कृपया kindly hai hain he h jaldi जल्दी ekdum ekdam एकदम baba बाबा re रे needful very sounds entirely totally quite is है हैं totally \
        poora pura puri poori whole पूरा पूरी bahut बहुत everything",
    )
});
/// Fillers at the beginning; at the end more was to come.
pub(super) static HESITANT: List =
    LazyLock::new(|| Words::exact("accha acha achha achcha अच्छा um umm uh hm hmm hmmm oh well arre are अरे so"));
/// Being, said of what was asked about.
pub(super) static IS: List = LazyLock::new(|| Words::exact("hai hain he h is है हैं"));
/// Joins what is said to what is said again; at the end of a turn more was to come.
pub(super) static LINK: List = LazyLock::new(|| {
    Words::exact(
        "ho jaye jaega jayega sakte sakti sakta हो जाए जाएगा सकते सकती to toh तो hi ही bhi भी ko को ka ki ke का की के se से it its thats that this the of for with on at इट you can will would i am aap आप \
        main मैं wahi yahi वही यही wo woh vo वो वह yeh ye यह ये ise isko use usko usi isi इसे इसको उसे उसको उसी इसी is उस इस then phir fir फिर ab अब aage आगे me",
    )
});
/// Of the caller, with a word that says what they are: "main sehmat hoon".
pub(super) static BEING: List = LazyLock::new(|| Words::exact("hoon hun hu हूँ हूं"));
/// Beginning, where that was asked.
pub(super) static BEGINS: List = LazyLock::new(|| Words::exact("shuru start starting initiate शुरू स्टार्ट"));
/// The same, where what is asked for follows: "yes, my order", but not "haan, mujhe do".
pub(super) static WISHING: List = LazyLock::new(|| {
    Words::exact("mujhe mujhko mera meri mere apna apni my want need मुझे मेरा मेरी मेरे अपना अपनी hamara hamari हमारा हमारी")
});
/// What may stand before the word of agreement: before any other it is asked for or about ("is my order confirmed").
pub(super) static OPENING: List = LazyLock::new(|| {
    Words::exact(
        "that thats it its this is i am sir madam bhai bhaiya arre अरे are oh well um uh hmm hm accha acha achha अच्छा to तो all sab सब wahi yahi वही यही \
        sounds works entirely totally quite very ekdum ekdam एकदम of ab yeh ye यह ये hai है hain main मैं hi ही ko को ka का ke के par pe on at the everything bahut बहुत with",
    )
});
pub(super) static JI: List = LazyLock::new(|| Words::exact("ji jii jee जी"));
/// Whole at the end of a turn all the same: "haan wahi", "haan ho jaye".
pub(super) static CLOSING: List =
    LazyLock::new(|| Words::exact("jaye jaega jayega जाए जाएगा hi ही wahi yahi वही यही wala wali वाला वाली"));
/// Whole behind what is done or said again.
pub(super) static TRAILING: List = LazyLock::new(|| {
    Words::exact(
        "it that this ko se hi bhi ho me you na को से ही भी हो इट karna karni karwana chahte chahta chahti करना करनी करवाना चाहता चाहती lena लेना",
    )
});
/// What of a wish may follow what is asked for.
pub(super) static WANTED: List = LazyLock::new(|| {
    Words::exact(
        "karna karni karne kerna karwana karvana chahta chahti chahte lena करना करनी करने करवाना चाहता चाहती चाहते लेना",
    )
});
/// "The one": behind a word that says which.
pub(super) static ONE: List = LazyLock::new(|| Words::exact("wala wali vala wale वाला वाली वाले"));
pub(super) static WHICH: List =
    LazyLock::new(|| Words::exact("yahi wahi usi isi mera meri ye yeh यही वही उसी इसी मेरा मेरी ये यह"));
/// No more than that: right before what is to be done it is no limit ("yes, just cancel it").
pub(super) static ONLY: List = LazyLock::new(|| Words::exact("bas bus just only sirf बस सिर्फ"));
/// What stands behind it is a thing.
pub(super) static BEFORE_NOUN: List = LazyLock::new(|| Words::exact("my the mera meri मेरा मेरी"));
/// Says of a thing beside it that it is the one.
pub(super) static CONFIRMING: List =
    LazyLock::new(|| Words::exact("hi ही wahi yahi वही यही usi isi उसी इसी with saath sath साथ to same"));
/// "Dopahar mein": only of a time.
pub(super) static WITHIN: List = LazyLock::new(|| Words::exact("mein में in"));
pub(super) static AND: List = LazyLock::new(|| Words::exact("and aur और"));

pub(super) static NO: List = LazyLock::new(|| {
    Words::exact("no noo nope nah not dont never nahi nahin nhi nai ni mat na naa नहीं नही मत ना न नो rehne rahne रहने")
});
/// A *no* that may be a mere tag at the end: "kar do na".
pub(super) static TAG: List = LazyLock::new(|| Words::exact("na naa ना न"));
/// With one of these it is no clear yes, even where the agent said it before.
pub(super) static DOUBT: List = LazyLock::new(|| {
    Words::exact(
        "but lekin par magar wait ruko rukiye rukna ruk pehle pahle first abhi kya kyon kyu kyun kaun kitna kitne kab kaise what why who \
        how when if or agar shayad maybe perhaps think soch sochna sochta baad later hello helo bolo boliye bataiye batao \
        suniye suno sunao wrong galat false stop hold minute minutes second seconds sec moment repeat dobara again thehro thehriye \
        chhodo chodo chhod chod bye busy question rakhta rakhti dusra doosra other another instead लेकिन पर मगर रुको रुकिए रुकिये रुक पहले अभी क्या क्यों कौन कितना कितने कब कैसे \
        अगर शायद बाद हेलो हैलो बोलो बोलिए बताइए बताओ सुनिए सुनो गलत ग़लत सोच मिनट सेकंड ठहरो ठहरिए छोड़ो छोड़ दोबारा दुबारा बाय सवाल दूसरा दूसरी या रखता रखती",
    )
});

/// All that was asked, where it was more than one thing.
pub(super) static ALL: List = LazyLock::new(|| {
    Words::exact("dono donon both all them sab sabhi saare sare teeno teenon everything दोनों दोनो सब सभी सारे तीनों")
});
/// Behind such a word these make another meaning of it: "sab theek hai", "all right".
pub(super) static WELL: List =
    LazyLock::new(|| Words::exact("theek thik sahi right good ok okay badhiya correct fine is ठीक सही अच्छा"));

/// Before its subject such a word asks, whatever stands behind it: "is it free", "can I come".
pub(super) static ASKS: List =
    LazyLock::new(|| Words::exact("is are was can could may will would shall should does did have has"));
pub(super) static SUBJECT: List = LazyLock::new(|| {
    Words::exact(
        "it its that thats this these everything all you time address we they he she timing day date both i which",
    )
});

/// What an agent says of itself in a question: said by the caller it is a question too ("cancel kar doon?"), or another's
/// deed.
pub(super) static MYSELF: List = LazyLock::new(|| {
    Words::exact(
        "doon du dun doo karoon karun karu badhoon loon lun lu rakhoon shall दूँ दूं करूँ करूं बढ़ूँ लूँ लूं रखूँ kya क्या aapka aapki aapke aapko आपका आपकी आपके आपको your",
    )
});
/// A word for a time that is told.
pub(super) static TIMES: List = LazyLock::new(|| Words::exact("time timing samay slot समय टाइम स्लॉट"));
/// What is told anew, if nothing else says what is done.
pub(super) static NEW: List = LazyLock::new(|| Words::exact("pata address naya nayi new पता एड्रेस नया नई"));
/// Words of a question that do not say what it is about.
pub(super) static ASKING: List = LazyLock::new(|| {
    Words::exact(
        "shall should can i we want proceed kya main doon du dun karoon karun badhoon loon chahte chahenge hain aap ok okay are क्या मैं दूँ दूं करूँ करूं बढ़ूँ \
        चाहते आप करना karna right correct shuru start sure confirm me",
    )
});

/// Agreement and filling in several words.
pub(super) const IDIOMS: [&[&str]; 59] = [
    &["sure", "thing"],
    &["of", "course"],
    &["for", "sure"],
    &["go", "for", "it"],
    &["works", "for", "me"],
    &["that", "works"],
    &["you", "got", "it"],
    &["you", "bet"],
    &["i", "do"],
    &["it", "is"],
    &["thats", "it"],
    &["lets", "do", "it"],
    &["lets", "do", "this"],
    &["lets", "go"],
    &["let", "us", "do", "it"],
    &["without", "a", "doubt"],
    &["sounds", "good"],
    &["fine", "by", "me"],
    &["fine", "with", "me"],
    &["ok", "with", "me"],
    &["okay", "with", "me"],
    &["ok", "for", "me"],
    &["okay", "for", "me"],
    &["fine", "for", "me"],
    &["good", "for", "me"],
    &["mujhe", "manzoor"],
    &["मुझे", "मंज़ूर"],
    &["मुझे", "मंजूर"],
    &["hundred", "percent"],
    &["that", "would", "be", "great"],
    &["that", "would", "be", "fine"],
    &["that", "would", "be", "good"],
    &["that", "will", "be", "fine"],
    &["that", "will", "do"],
    &["should", "be", "fine"],
    &["should", "be", "ok"],
    &["should", "be", "okay"],
    &["that", "is", "what", "i", "want"],
    &["thats", "what", "i", "want"],
    &["i", "agree"],
    &["i", "confirm"],
    &["i", "accept"],
    &["i", "am", "sure"],
    &["im", "sure"],
    &["theek", "rahega"],
    &["thik", "rahega"],
    &["sahi", "rahega"],
    &["badhiya", "rahega"],
    &["ठीक", "रहेगा"],
    &["सही", "रहेगा"],
    &["chal", "jayega"],
    &["चल", "जाएगा"],
    &["suit", "karta"],
    &["suits", "me"],
    &["confirm", "it"],
    &["confirm", "that"],
    &["sahi", "baat"],
    &["theek", "baat"],
    &["सही", "बात"],
];
/// Said along with a yes, and no part of it.
pub(super) const ASIDES: [&[&str]; 21] = [
    &["thank", "you"],
    &["so", "much"],
    &["very", "much"],
    &["jaldi", "se"],
    &["जल्दी", "से"],
    &["mere", "liye"],
    &["hamare", "liye"],
    &["apne", "liye"],
    &["मेरे", "लिए"],
    &["हमारे", "लिए"],
    &["meri", "taraf", "se"],
    &["मेरी", "तरफ", "से"],
    &["for", "me"],
    &["with", "me"],
    &["o", "clock"],
    &["i", "would", "like", "to"],
    &["i", "want", "you", "to"],
    &["you", "can"],
    &["you", "may"],
    &["you", "should"],
    &["the", "needful"],
];
/// The caller will be there: a yes to a visit beside a word of agreement.
pub(super) const COMES: [&[&str]; 24] = [
    &["aa", "jaunga"],
    &["aa", "jaungi"],
    &["aa", "jaenge"],
    &["aa", "jayenge"],
    &["aa", "jaoonga"],
    &["aa", "jaoongi"],
    &["aaunga"],
    &["aaungi"],
    &["aayenge"],
    &["aaenge"],
    &["आ", "जाऊँगा"],
    &["आ", "जाऊंगा"],
    &["आ", "जाऊँगी"],
    &["आ", "जाऊंगी"],
    &["आ", "जाएंगे"],
    &["आऊंगा"],
    &["आऊँगा"],
    &["आऊंगी"],
    &["आऊँगी"],
    &["i", "will", "come"],
    &["i", "will", "be", "there"],
    &["ill", "come"],
    &["ill", "be", "there"],
    &["we", "will", "come"],
];
/// Nothing stands in the way. Only so: with a question about it ("koi dikkat hai?") it answers that.
pub(super) const EASED: [&[&str]; 27] = [
    &["no", "problem"],
    &["no", "problems"],
    &["no", "issue"],
    &["no", "issues"],
    &["no", "objection"],
    &["no", "objections"],
    &["no", "worries"],
    &["not", "a", "problem"],
    &["not", "an", "issue"],
    &["why", "not"],
    &["koi", "dikkat", "nahi"],
    &["koi", "dikkat", "nahin"],
    &["koi", "problem", "nahi"],
    &["koi", "problem", "nahin"],
    &["koi", "pareshani", "nahi"],
    &["koi", "issue", "nahi"],
    &["koi", "aitraaz", "nahi"],
    &["dikkat", "nahi"],
    &["problem", "nahi"],
    &["कोई", "दिक्कत", "नहीं"],
    &["कोई", "प्रॉब्लम", "नहीं"],
    &["कोई", "परेशानी", "नहीं"],
    &["कोई", "समस्या", "नहीं"],
    &["दिक्कत", "नहीं"],
    &["no", "doubt"],
    &["no", "tension"],
    &["koi", "tension", "nahi"],
];
/// The same, and no yes by itself; "I said so, didn't I" is none either.
pub(super) const NEVER_MIND: [&[&str]; 9] = [
    &["koi", "baat", "nahi"],
    &["koi", "baat", "nahin"],
    &["कोई", "बात", "नहीं"],
    &["kaha", "na"],
    &["bola", "na"],
    &["bol", "diya", "na"],
    &["keh", "diya", "na"],
    &["कहा", "ना"],
    &["बोला", "ना"],
];

/// What was asked is to be left. A bare "nahi" is none of these: it may be said to whoever goes on talking instead.
pub(super) const LEAVINGS: [&[&str]; 40] = [
    &["rehne", "do"],
    &["rehne", "dijiye"],
    &["rehne", "de"],
    &["rahne", "do"],
    &["rahne", "dijiye"],
    &["chod", "do"],
    &["chhod", "do"],
    &["chhod", "dijiye"],
    &["chhodo"],
    &["chodo"],
    &["chhodiye"],
    &["jaane", "do"],
    &["jane", "do"],
    &["jaane", "dijiye"],
    &["leave", "it"],
    &["never", "mind"],
    &["nevermind"],
    &["forget", "it"],
    &["drop", "it"],
    &["skip", "it"],
    &["stop", "it"],
    &["no", "need"],
    &["not", "necessary"],
    &["not", "required"],
    &["bas", "karo"],
    &["bas", "kijiye"],
    &["bas", "kariye"],
    &["phir", "kabhi"],
    &["fir", "kabhi"],
    &["nako"],
    &["रहने", "दो"],
    &["रहने", "दीजिए"],
    &["छोड़", "दो"],
    &["छोड़", "दीजिए"],
    &["छोड़ो"],
    &["छोड़िए"],
    &["जाने", "दो"],
    &["बस", "करो"],
    &["बस", "कीजिए"],
    &["फिर", "कभी"],
];
/// Where something is to be taken back, to keep it or to send it is a no.
pub(super) static KEPT: List = LazyLock::new(|| {
    Words::exact("keep keeping rakho rakhiye rakhna rakh bhejo bhej bhejiye रखो रखिए रखना रख भेजो भेज भेजिए")
});

/// What a deed is done to.
pub(super) static OBJECTS: List = LazyLock::new(|| {
    Words::exact(
        "order orders parcel item product appointment booking slot visit address pata number time samay ऑर्डर पार्सल अपॉइंटमेंट बुकिंग पता एड्रेस समय टाइम नंबर",
    )
});

/// A word that every answer may have.
pub(super) fn is_common(token: &Token) -> bool {
    [&YES, &WEAK, &DO, &ALL, &FILLER, &LINK, &WANTED, &HESITANT, &NO].iter().any(|words| words.has(token))
}

/// Whether words begin with others.
pub(super) fn says(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len()
        && words.iter().zip(tokens).all(|(word, token)| token.raw == *word)
        && !tokens[1..words.len()].iter().any(|token| token.after_break)
}

/// The words of a list that a turn begins with.
pub(super) fn phrase<'a>(tokens: &[Token], phrases: &'a [&'a [&'a str]]) -> Option<&'a [&'a str]> {
    phrases.iter().copied().find(|phrase| says(tokens, phrase))
}
