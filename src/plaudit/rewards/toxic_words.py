"""Words and wordings for `toxicity`. Data only: regular expressions on lower-case text with straight apostrophes.

The slurs and curses are here to be recognised. Each entry of `SPEECH` is a weight, the chance that a sentence with that
wording is toxic, and alternatives, set apart by semicolons.
"""

from __future__ import annotations

from plaudit.rewards.wording import alternatives

__all__ = ["GROUPS", "OBFUSCATED", "SPEECH"]

_PEOPLE = r"(?:people|persons?|men|women|man|woman|folks?|kids|lives|life|immigrants?|trash|couples?)"
GROUPS = alternatives(
    f"""
        women; woman; girls; females?; men; muslims?(?: {_PEOPLE})?; jews?; jewish {_PEOPLE}; christians?; hindus?;
        buddhists?; catholics?; atheists?; blacks; black {_PEOPLE}; whites; white {_PEOPLE}; asians?(?: {_PEOPLE})?;
        arabs?; africans?; mexicans?; latinos?; hispanics?; chinese(?: people)?; indians?; pakistanis?; turks?;
        poles; romanians?; russians; americans; immigrants?; immigrant {_PEOPLE}; migrants?; refugees?; foreigners?;
        gays; gay {_PEOPLE}; lesbians?; homosexuals?; queers; queer {_PEOPLE}; trans(?:gender)? {_PEOPLE}; trannies;
        disabled {_PEOPLE}; the disabled; cripples; old people; elderly people; the elderly; poor people;
        homeless people; the homeless; gyps(?:y|ies); roma; native americans; indigenous people; people of colou?r;
        minorities; (?:those|these|you|such) people; (?:their|your) kind; foreign (?:workers|students);
        autistic (?:kids|people|children); infidels; <them>
    """
)
_AGAINST_GROUPS = alternatives(
    r"""
        criminals?; terrorists?; stupid; dumb; inferior; superior; disgusting; parasites?; animals?; vermin; filthy;
        filth; sneaky; freaks?; (?:an )?abominations?; a burden; a plague; subhuman; less than human; scum; useless;
        lazy; dirty; evil; diseased?; rats?; cockroach(?:es)?; pigs?; savages?; rapists?; thieves; liars?; trash;
        garbage; worthless; retarded; perverts?; pa?edophiles?; a (?:disease|cancer|disgrace|threat|danger|problem);
        greedy; brainless; insects?; monkeys?; apes?; leeches; primitive; degenerates?; whores?;
        sick (?:freaks?|people); idiots?; morons?; mentally ill; monsters?; repulsive; gross; ugly; rubbish;
        a waste; not (?:human|people|welcome|equal|our equals?|real (?:men|women|people)|worth\w*); virus(?:es)?;
        lesser beings; the (?:absolute |very )?worst; dishonest; violent; stupidest; uncivili[sz]ed; despicable;
        pathetic; sickening; vile; no better than (?:rats|animals|dirt); common trash; trash; cancer; an? pests?;
        pests?; repugnant; dumbest; refuse(?=[.!]); would all be dead; worth (?:absolutely )?nothing; ignorant;
        cruel
    """
)
_BAD_PERSON = alternatives(
    """
        idiots?; morons?; imbeciles?; dimwits?; nitwits?; halfwits?; cretins?; scumbags?; scum; vermin; losers?;
        dumbass(?:es)?; dipshits?; shitheads?; assholes?; arseholes?; bastards?; jackass(?:es)?; dickheads?;
        retards?; pricks?; twats?; wankers?; cunts?; douchebags?; douches?; sluts?; whores?; bitch(?:es)?;
        motherfuckers?; fuckers?; faggots?; fuckface; lowlifes?; subhumans?; degenerates?; simpletons?; airheads?;
        buffoons?; blockheads?; twits?; dolts?; oafs?; ignoramus(?:es)?; tossers?; knobheads?; bellends?; dumbos?;
        numbskulls?; waste of (?:space|oxygen|air|skin|time|breath); piece of (?:shit|garbage|trash|filth|work);
        excuse for a human(?: being)?; failure as a human(?: being)?
    """
)
_BAD_WHERE_AIMED = alternatives(
    """
        fools?; clowns?; pigs?; snakes?; trolls?; freaks?; creeps?; cowards?; brats?; dumm(?:y|ies); dunces?;
        jerks?; trash; garbage; filth; liars?; parasites?; rats?; disgrace; joke; failure; dogs?; witch; hag; cow;
        peasants?; leech(?:es)?; worms?; sheep; toads?; swine; nothing(?=[.!,]|$); weirdos?; psychos?; monsters?;
        pests?; burden; embarrassment; d[iy]kes?; fags?; dick; pervert
    """
)
_BAD_QUALITY = alternatives(
    """
        stupid; dumb; pathetic; worthless; useless; ugly; disgusting; brainless; spineless; filthy; brain-?dead;
        retarded; inferior; despicable; gutless; idiotic; moronic; repulsive; vile; whiny; slimy; hideous;
        contemptible; revolting; insufferable; witless; gormless; dullest; dumbest; stupidest; ugliest;
        insignificant
    """
)
_WEAK_QUALITY = alternatives(
    """
        lazy; fat; dim; dense; gullible; lying; cheating; thick; dirty; creepy; smelly; incompetent; annoying;
        ignorant; clueless; nasty; crazy; fucking; goddamn; bloody; damn; shitty; old; little; big; real; miserable;
        sick; hopeless; slow
    """
)
_BETWEEN = (
    r"(?:(?:such|just|really|so|too|nothing|but|an?|the|one|as|very|absolute|absolutely|complete|completely|utter|utterly|"
    rf"total|totally|and|bunch|of|all|truly|also|clearly|obviously|being|always|probably|more|than|{_BAD_QUALITY}|"
    rf"{_WEAK_QUALITY}),? )"
)
_YOU = (
    r"(?:you|u|ya|y'all)(?:'re|re| are| r| look like| sound like| look| sound| were| must be| will always be|"
    r" really are| people| people are| guys are| lot are)?|ur|(?:are|were) you(?: people| guys)?"
)
_HURT = (
    r"(?:kill|hurt|murder|beat|break|smash|strangle|stab|shoot|slap|punch|burn|destroy|cut|choke|end|hit|harm|torture|rape|"
    r"slaughter|crush|skin|bash|whip|knock|kick|hang|drown|gut|butcher)"
)
_SOMEBODY = r"(?:you|u|him|her|them|your|his|their|ya|every(?:one|body)|all of you)"
_HARMLESS_AFTER = (
    r"(?! (?:at|in a|in the|to it|to the|home|some slack|a (?:deal|check|break|better|new)|up|with kindness))"
)

SPEECH: tuple[tuple[str, float, str], ...] = (
    (
        "insult",
        0.85,
        rf"(?:{_YOU}),? {_BETWEEN}{{0,6}}(?:{_BAD_PERSON}|{_BAD_WHERE_AIMED}|{_BAD_QUALITY})(?! (?:of|enough|luck))",
    ),
    (
        "insult",
        0.6,
        rf"(?:(?<=[,.!?:] )|^)(?:you |ya )?{_BETWEEN}{{0,3}}(?:{_BAD_PERSON}|loser|dummy|clown|freak)(?=[.!,?]|$)",
    ),
    (
        "insult",
        0.75,
        rf"""
            (?:{_BAD_PERSON}|{_BAD_WHERE_AIMED}|{_BAD_QUALITY}) (?:like|as) you\b;
            how {_BAD_QUALITY} (?:you|they|these|those|are you|can (?:you|someone|anyone|a person) be);
            just like you[.!]
        """,
    ),
    (
        "insult",
        0.65,
        rf"""
            (?:he|she|they|who|that (?:guy|man|woman)|everyone there|[a-z]+)(?:'s| is| are|'re| was)
            {_BETWEEN}{{0,5}}{_BAD_PERSON};
            what an? {_BETWEEN}{{0,4}}(?:{_BAD_PERSON}|{_BAD_QUALITY} (?:\w+
            )?(?:man|woman|person|child|boy|girl|human|people|creature))
        """,
    ),
    ("insult", 0.55, _BAD_PERSON),
    ("insult", 0.6, rf"(?:{_YOU}),? {_BETWEEN}{{0,6}}{_WEAK_QUALITY}(?=[.!]|$)"),
    (
        "insult",
        0.6,
        """
            shut (?:up|your (?:mouth|face|trap)); you disgust me; you make me (?:sick|puke|vomit);
            i (?:hate|despise|loathe) you; nobody (?:likes|loves|wants|would miss|will miss|cares about) you;
            no one (?:likes|loves|wants|would miss|will miss) you; nobody wants you here; get lost; crawl back;
            what is wrong with you people
        """,
    ),
    (
        "insult",
        0.8,
        """
            better off (?:without you|if you (?:were|was|weren't|died|didn't)); should never have been born;
            never should have been born; doesn't deserve to be loved;
            do(?:n't| not) deserve to (?:live|be loved|exist|breathe);
            do (?:us|everybody|everyone|the world) (?:all )?a favou?r and
            (?:die|disappear|leave|jump|kill|vanish|stop breathing)
        """,
    ),
    (
        "insult",
        0.65,
        r"""
            (?:seen|met|known) (?:\w+ )?(?:smarter|brighter|more intelligent|cleverer) (?:\w+);
            with a (?:face|body|brain|voice) like (?:yours|that);
            your (?:\w+ )?(?:brain|iq) (?:must be|is) the size of; (?:two|one|single|last) brain cells?;
            kills brain cells; your (?:mother|father|parents|family) must be (?:so )?(?:ashamed|disappointed);
            too (?:dumb|stupid|thick|ignorant) (?:to|for);
            dumbest (?:question|thing|person|idea) i(?:'ve| have)? ever;
            even from (?:someone|somebody|an? \w+) like you; just by breathing;
            as (?:useless|stupid|ugly|dumb|pathetic|worthless) as you; wasting my time;
            the (?:intelligence|iq|brains?|charm|personality) of an?;
            how (?:does|can|could|is) (?:someone|anyone|somebody) (?:be )?(?:so|that)
            (?:dumb|stupid|clueless|thick|dim|dense|ignorant);
            (?:my|a) (?:goldfish|dog|cat|toaster|rock|houseplant) (?:is|has) (?:brighter|smarter|more|cleverer);
            someone as \w+ as you; never amount to anything
        """,
    ),
    (
        "curse",
        0.9,
        r"""
            (?:fuck|screw|damn) (?:you|off|yourself|him|her|them|your|u)\b;
            go (?:and )?(?:fuck|screw|hang|hurt) yourself
        """,
    ),
    (
        "curse",
        0.65,
        r"""
            (?:mother)?fuck\w*; clusterfuck; cunts?; cocksuckers?; eat (?:shit|my); suck my \w+;
            kiss my (?:ass|arse)
        """,
    ),
    (
        "curse",
        0.57,
        r"""
            (?:bull|horse|dip|full of |piece of )?shit(?:s|ty|head|heads|face)?;
            (?:asshole|arsehole|dickhead|twat|wanker)s?; son of a bitch; sons of bitches; bitch(?:es|y)?; bastards?;
            pricks?; whores?; sluts?; (?:a|such a|total|real|you) dick(?=[\s.,!?]|$); stfu; gtfo; piss off;
            screw you
        """,
    ),
    (
        "curse",
        0.9,
        """
            nigg(?:er|ers|a|as); faggots?; fags?; kikes?; spics?; chinks?(?! in); gooks?; wetbacks?; ragheads?;
            towelheads?; sandniggers?; trann(?:y|ies); shemales?; retards?; pakis?; beaners?;
            (?:you|those|these|filthy|dirty|fucking|stupid) dykes?; coons?(?! dogs?); rapefugees?; muzzies?; mongs?;
            cripples?; pikeys?; gyppos?; golliwogs?; wogs?; jihadis?; jungle bunn(?:y|ies); mongoloids?;
            go back to (?:(?:your|their) (?:own )?countr(?:y|ies)|africa|asia|mexico|the jungle)
        """,
    ),
    (
        "threat",
        0.85,
        rf"""
            (?:i|we)(?:'ll| will| shall|'m going to| am going to|'m gonna| am gonna| gonna|'re going to| want to|
            wanna| swear (?:to god )?(?:i|we)(?:'ll| will|'m gonna| am going to)|'d love to| would love to| could)
            (?:just |so |really |fucking |find you and (?:i will )?)*{_HURT} {_SOMEBODY}\b{_HARMLESS_AFTER};
            (?:find|get|hunt) you (?:down )?and (?:i will |i'll )?{_HURT};
            {_HURT} (?:your|his|her|their) (?:\w+ )?(?:jaw|teeth|face|head|neck|skull|bones|legs|throat|house|home|\
            family) (?:in|down|off|open|with)?
        """,
    ),
    (
        "threat",
        0.85,
        r"""
            (?:you|he|she|they|people|everyone|everybody|like (?:you|her|him|them)|\
            (?:that|this) (?:\w+ )?(?:man|woman|guy|girl)|<them>)(?: \w+){0,2}
            (?:deserves? to|should(?: all)?|ought to|must(?: all)?|needs? to|ha(?:ve|s) to)
            (?:be (?:\w+ )?(?:shot|beaten|killed|hanged|hung|stoned|raped|burned|burnt|exterminated|wiped out|\
            eradicated|\
            gassed|lynched|executed|slaughtered|tortured)(?! (?:in|at|by|for) )|\
            die(?: slowly| in pain)?(?=[.!,]|$)|rot in|suffer(?=[.!,]|$))
        """,
    ),
    (
        "threat",
        0.85,
        r"""
            (?:i )?hope (?:that )?(?:you|he|she|they|your \w+)(?: all)?
            (?:dies?|rots?|suffers?|burns?|chokes?|gets? (?:cancer|hit|shot|raped|killed)); drop dead(?! gorgeous);
            hope (?:somebody|someone|a \w+) (?:runs|hits|kills|shoots|beats|robs|rapes|hurts) (?:you|him|her|them);
            won't live to see; slit (?:your|his|her|their) throats?;
            make (?:you|him|her|them) (?:bleed|suffer|beg|scream); lined up against (?:a|the) wall;
            deserves? an? (?:\w+ and )?(?:slow|painful|horrible|violent) (?:\w+ )?death;
            (?:your|his|her|their) (?:house|home|car) (?:will burn|burns|is going to burn);
            kill (?:yourself|urself|yourselves); kys;
            go (?:and )?(?:die|jump off|hang yourself|drown yourself|play in traffic);
            (?:just )?end (?:your|ur) life;
            (?:bullet|knife) (?:in|into|through) (?:his|her|your|their) (?:head|skull|heart|brain|back)
        """,
    ),
    (
        "threat",
        0.8,
        r"""
            watch your back; (?:i|we) know where (?:you|your \w+) (?:live|sleep|work|go);
            know which (?:school|house|bus) your;
            (?:coming|come) for (?:you|your)\b(?! (?:at|on|in))(?=[.!,]|$| and| tonight); sleep with one eye open;
            you(?:'ll| will|'re going to) (?:pay for this|regret this|wish you were dead|end up in a
            (?:ditch|grave|box|bag)|be sorry); you(?:'re| are) (?:dead|a dead (?:man|woman)|so dead)(?=[.!,]|$);
            (?:in|under) (?:a|the) (?:ditch|ground) where; to a pulp; with my (?:own|bare) hands;
            (?:i'll|i will) (?:cut|end|ruin|gut) you; teach (?:you|him|her|them) a lesson (?:you|with)
        """,
    ),
    (
        "hate",
        0.85,
        rf"""
            {GROUPS}(?:,? (?!saying|telling)[\w']+){{0,4}}? (?:are|is|were|be|being|might look human but)(?:(?:
            (?!not\b|never\b|opposite\b)[\w'-]+){{0,5}}?) {_AGAINST_GROUPS};
            {GROUPS} (?:are|is|were) (?:clearly )?not (?:human|people|welcome|equal|our equals?|real|worth\w*|\w+
            enough); only {GROUPS} (?:are|can be) (?:that|so) (?:violent|cruel|ignorant|stupid|filthy|dirty|dumb);
            typical (?:of )?(?:an? |the )?{GROUPS}; {GROUPS} trash; in {GROUPS}(?:'s|')? nature to
        """,
    ),
    (
        "hate",
        0.8,
        rf"""
            (?:hate|despise|detest|loathe|abhor|can(?:'t|not) stand|disgusted by|sick of|pissed off
            (?:by|at)|hatred (?:i \w+ )?for|(?:contempt|disdain|scorn)(?: i (?:feel|have))? for|nothing worse
            than|death to|put an end to|fuck|no better than|nothing in the world i like less than)
            (?:(?:all|any|every|that|these|those|the|each|single|one|of|an?|you|being|around|kinds|such|fucking|\
            seeing|people|especially|if|they|are|being),? )*{GROUPS}(?! (?:are treated|being treated|who
            hate|get\b));
            {GROUPS}(?: [\w']+){{0,4}} (?:disgusts? me|(?:mak(?:e|es|ing)|fill) me (?:so |boil
            )?(?:sick|furious|angry|puke|with (?:so much )?(?:anger|rage|disgust))|piss(?:ing|es)? me off)
        """,
    ),
    (
        "hate",
        0.85,
        rf"""
            (?:get rid of|exterminate|eradicate|wipe out|drive out|throw out|kick
            out|purge|eliminate|gas|lynch|slaughter|kill|murder|deport|beat|burn|shoot|stab|drown|hang|rape|raping|\
            torture|shooting|killing|test(?:ing)? (?:new )?\w+ on|snap the necks of|cut)
            (?:(?:all|every|any|each|that|the|these|those|this|our|\w+ of|next|as many|an?|kinds|of),? )*{GROUPS};
            (?:make|let|see) (?:all |these |those )*{GROUPS} (?:suffer|die|bleed); not let any {GROUPS} live;
            {GROUPS}(?: [\w']+){{0,3}}'?s? throats
        """,
    ),
    (
        "hate",
        0.78,
        rf"""
            {GROUPS}(?: (?!lives matter|don't|not)[\w']+){{0,4}} (?:should(?: all)? (?:(?:not|never) (?:be allowed
            to (?:vote|breed|work|live)|vote|breed|live|drive)|get the|be (?:shipped (?:back|off)|sent back|kept
            out|cured|banned|forced|locked|kept|thrown|deported|killed|shot|punished|sterili[sz]ed|exterminated|\
            put|stopped|removed|eradicated|burned|dumped|beaten|drowned|hanged|stoned))|were eradicated|would be
            shot|must be (?:stopped|removed|destroyed|exterminated)|deserves? to (?:die|suffer|be
            (?:beaten|shot|killed|raped|stoned))|(?:belong|belongs) (?:in|at|under)
            (?:the|a|an|cages?|prison|camps?|chains)|control (?:everything|the
            (?:banks|media|world))|(?:ruin|destroy|poison|invade|infest)(?:s|ed|ing)?
            (?:everything|our|this|the)|can never be (?:trusted|as)|all (?:steal|lie|cheat|smell|stink)|only
            understand (?:violence|force)|are behind (?:every|all|everything)|(?:can't|cannot) do
            (?:maths?|science|logic)|(?:only|just) good for|live off our|steal our|(?:are|is) never any|not
            worth|worth (?:absolutely )?nothing|won't change);
            {GROUPS} (?:don't|do not|doesn't) (?:belong|deserve (?:to live|rights|respect|any))
        """,
    ),
    (
        "hate",
        0.8,
        rf"""
            only good \w+ is a dead; no {GROUPS} (?:belongs?|should be allowed|is welcome);
            (?:you can )?never trust (?:an? |a single word said by an? )?{GROUPS}; white (?:race|power|pride);
            racially (?:pure|inferior|superior); (?:master|inferior|superior) races?(?! (?:is|was) a myth);
            {GROUPS} are too \w+ to; under a man's boot; at the bottom[.]; woman's place is;
            we don't want your kind; homosexuality is an? (?:disease|sin|sickness|abomination);
            too many {GROUPS}(?: in this| here); would be better off without (?:all )?{GROUPS};
            rather (?:have|get) \w+ than (?:be|live|sit)(?: \w+){{0,3}} (?:an? )?{GROUPS};
            (?:dog|monkey|rat|pig) is (?:smarter|more intelligent|cleverer) than(?: \w+){{0,3}} {GROUPS};
            human rights should not apply to; no space (?:on|in) (?:this|our) (?:\w+ )?for(?: \w+)? {GROUPS};
            touched by an? {GROUPS}; if i woke up as an? {GROUPS};
            (?:mistake|danger)(?: \w+){{0,4}} {GROUPS} in charge;
            {GROUPS} in charge is (?:a|the) (?:danger|disaster|(?:biggest )?mistake)
        """,
    ),
)

_PLAIN = """
    fuck fucks fucker fuckers fucking fucked motherfucker motherfuckers shit shits shitty bullshit shithead
    shitheads asshole assholes bitch bitches bastard bastards cunt cunts dick dickhead dickheads prick slut
    sluts whore whores idiot idiots idiotic moron morons stupid retard retards retarded loser losers faggot
    faggots fag nigger niggers kys dumbass dumb scum scumbag ugly imbecile stfu gtfo wanker twat trash pathetic
    worthless kill
"""
OBFUSCATED = {word: word for word in _PLAIN.split()} | {
    "phuck": "fuck",
    "fuk": "fuck",
    "fck": "fuck",
    "fcking": "fucking",
    "fking": "fucking",
    "fukin": "fucking",
    "fuckin": "fucking",
    "stopid": "stupid",
    "stoopid": "stupid",
    "stupit": "stupid",
    "biatch": "bitch",
    "btch": "bitch",
    "sht": "shit",
    "ashole": "asshole",
    "azhole": "asshole",
    "dumas": "dumbass",
    "idjit": "idiot",
    "looser": "loser",
}
"""Spellings after digits, signs and repeated letters are undone -> the word."""
