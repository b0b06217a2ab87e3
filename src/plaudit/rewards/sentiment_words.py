"""Words and phrases for `sentiment` that VADER's lexicon lacks or reads wrongly. Data only.

Valences are on VADER's scale, -4 to 4. The words were collected from product, film and opinion texts and from the way
assistants write; VADER's own 7,500 entries come mostly from short social messages.
"""

from __future__ import annotations

__all__ = ["IDIOMS", "IRONY", "VALENCES"]


def _spread(groups: dict[float, str]) -> dict[str, float]:
    return {word: valence for valence, words in groups.items() for word in words.split()}


VALENCES = _spread(
    {
        2.5: """
            breathtaking captivating dazzling delightfully exquisite exquisitely extraordinary finest flawless
            flawlessly impeccable ingenious irresistible masterful masterfully mesmerizing mesmerising must-see
            must-have outstandingly riveting sensational sublime superbly top-notch unforgettable virtuoso
            world-class unbeatable first-rate
        """,
        1.8: """
            absorbing admirably affordable appealing artful artfully attentive beautifully brilliantly
            charismatic cleverly compassionate considerate cosy cozy crisp deft deftly delicious deliciously
            divine heavenly adore adored lifesaver superb dreamy delivers elegantly eloquent engrossing
            evocative excels expertly exhilarating heartwarming helpfully imaginative immaculate infectious
            inspired inspiring insightful intuitive inventive juicy knowledgeable likable lovable luxurious
            magical memorable moving nicely patient persuasive poignant polished potent profound recommend
            recommended recommends refreshing refreshingly reliable reliably resonant rewarding scrumptious
            seamless seamlessly sincere skilful skillful skillfully smoothly speedy spotless stellar stirring
            stunningly sumptuous tasty tasteful thoughtful touching trustworthy unmissable upbeat vivid warmly
            well-made well-written witty wonderfully yummy gem underrated bargain hilarious
        """,
        1.0: """
            able acclaimed accessible accurate acted balanced clean compact complement consistent convenient
            cure cured decent durable effortless evolved fast fixed fixes flavorful flavourful fresh generously
            gifted hearty healthy heal healed healing ideal improves kindly laughed light-hearted lively
            masterly mature pleasantly plus quick quickly quiet rare kindest patiently reasonable readable
            realistic recover recovered refined responsive rested rich satisfactory sharp sings smart smooth
            solid solved soothing sturdy subtle succulent survived tender timely timeless upgrade visionary
            vibrant warm welcomed welcoming well-crafted works worked worth worthwhile worthy gracefully sooner
        """,
        -1.0: """
            abandoned absent average cancel cancelled canceled cancels cheap choppy clich cliche cliched clichéd
            clueless clunky cold contradicts contrived crushed delay delayed delays deleted deleting dated
            derivative dripping dusty errors expensive exhausted expired fired flat formulaic forgettable forgot
            forgotten generic haphazard heavy-handed hiccup hollow ignored impersonal incomplete inconvenient
            lacklustre leak leaked leaking leaks loud lukewarm mechanical meh mislabeled missing moody muffled
            noisy outdated over-long overlong overpriced overwrought pedestrian pale predictable pricey
            repetitive returned routine shallow shaky shrugged simplistic skip slow slower sluggish soggy soapy
            stained static stuffy superficial thin tinny unclear undercooked uneven unfinished unhelpful
            unnecessary unresponsive vague weak weaker woke yelled yelling smelled smelly stuck supposedly burnt
        """,
        -1.8: """
            abysmal amateurish avoid banal bland blunder botched breaking breaks broke buggy careless carelessly
            charmless cheesy clumsy collapse collapsed collapses collapsing corrupted crash-prone crashes
            crashing cramped damp deceptive defective dented deteriorated devoid dishonest disorganised
            disorganized disrespectful drab drags dreary drivel dud dull dying failing faulty filthy flimsy
            freezes fraudulent frustratingly garish glitchy greasy gross grimy half-baked hackneyed
            ill-conceived impolite impossible inane incoherent incompetent incomprehensible inconsiderate inept
            inferior infuriating insipid insulting junk laughable leaden lifeless listless lousy lemon
            manipulative meandering mediocre meaningless mishandled misguided shambles trainwreck aches
            misleading mistake mistakes mould mouldy moldy muddled needlessly neglected nonsensical obnoxious
            overheats overheating overcooked overrated plodding poorly pretentious pointless rejected ripped
            ripoff rip-off robbed rotten ruin ruins rubbery rundown run-down scam scratched shabby shoddy sloppy
            sophomoric spoiled spoilt squandered stale stinks stung tacky tasteless tedious tiresome trash
            unbearable unbearably unconvincing uncomfortable underwhelming underwhelmed unfair unfriendly
            unfunny unhygienic unimaginative uninspired unlistenable unprofessional unrealistic unreliable
            unresolved unusable unwatchable unwelcoming useless vapid wobbly worthless wasted yawn threw
        """,
        -2.6: """
            atrocious appalling appallingly dreadful dreadfully excruciating godawful hideous horrendous horrid
            inedible insufferable nauseating nauseous repulsive revolting vile wretched
        """,
        # what VADER gives a valence and plain prose does not mean as one
        0.0: """
            like help helps helping please sure certain certainly natural naturally matter matters value values
            important importance feeling feelings true ok okay number security asset assets resolution active
            agree committed solution solutions kinda sort share shared shares play played plays interest
            interests want wanted wants stop stopped stops leave leaves left promise promised promises wish
            challenge challenges block blocks capital lies cut fire reset
        """,
        1.5: "likeverb helpverb",
        2.6: "idiomgood",
    }
)
VALENCES["idiombad"] = -2.6
VALENCES["idiomflat"] = 0.0

IDIOMS: tuple[tuple[str, str], ...] = (
    # good
    (
        r"""
            to die for; over the moon; brought the house down; worth its weight in gold; miles ahead; gets the job
            done; never (?:had|tasted|seen|read|heard|met|used) a (?:better|nicer|finer|kinder|tastier) \w+;
            can(?:no|')t imagine life without; nobody told me about (?:this|it) (?:earlier|sooner); dangerously
            (?:good|tasty); over the moon; brought the house down; worth its weight in gold; miles ahead (?:of)?;
            gets the job done; never (?:had|tasted|seen|read|heard|met|used) a
            (?:better|nicer|finer|kinder|tastier) \w+; can(?:no|')t imagine life without; nobody told me about
            (?:this|it) (?:earlier|sooner); dangerously (?:good|tasty); hit(?:s)? the spot; (?:had|having|have) a
            (?:blast|ball); out of this world; (?:two )?thumbs up; (?:went|go|goes) (?:above and beyond|the extra
            mile); (?:is|was|be) a (?:piece of cake|breeze|hit|keeper|must|winner|dream)\b; step up; second to
            none; (?:on|at) the first try; worth (?:every|the) \w+; exceeded (?:\w+ )?expectations; better than
            (?:ever|expected|i expected|hoped|i hoped); (?:turned|turn) out (?:great|well|better); blew me away;
            blown away; took my breath away; takes my breath away; can(?:no|')t wait; look(?:ing)? forward to;
            (?:keep|kept) it coming; (?:proved|prove) (?:\w+ ){1,2}wrong; (?:will|would|ll|shall) (?:certainly
            |definitely |gladly )?(?:be back|come back|come again|return|buy (?:it )?again|eat again|visit
            again|stay again); (?:killed|nailed|crushed|aced) (?:it|the (?:test|exam|interview|presentation)); hats
            off; kudos; well done; good news; never (?:a|had a) (?:dull|bad) moment; (?:couldn't|could
            not|can't|cannot) (?:\w+ )?(?:be |have been |get |ask for |have asked for |agree |imagine |wish for
            )(?:\w+ ){0,2}(?:more|better|happier|prouder|nicer); (?:couldn't|could not|can't|cannot) put
            (?:it|this) down; no (?:complaints|regrets|hiccups); go wrong with; (?:has|have|had) never been
            (?:this|so|better|happier); nothing (?:else )?(?:\w+ ){0,3}(?:comes close|compares|beats|like it);
            beats (?:the|any|every|all); (?:10|ten|5|five) (?:out of |/ ?)(?:10|ten|5|five); (?:10|9)/10; 5/5; made
            my (?:day|week|year); (?:is|are|was|this is) gold\b; step forward; (?:gave|give) up hope and; like a
            (?:charm|dream|baby|dream come true); dream come true; five stars; 5 stars; in good hands; without
            (?:a|any) (?:hiccup|hitch|problem|doubt)s?; highlight of; learned a (?:lot|great deal); (?:sick|killer)
            (?:solo|beat|track|riff|trick|album); breath of fresh air; brought? (?:me )?tears of joy;
            feel(?:s|ing)? better
        """,
        " idiomgood ",
    ),
    # bad
    (
        r"""
            is a bomb; end of my (?:rope|tether); money pit; bad taste in; miles better; (?:rarely|never|hardly
            ever) (?:seen|read|heard|met|had|tasted) an? (?:weaker|worse|duller|uglier|sillier) \w+; not my
            favou?rite; live up to; moving (?:our|my) \w+ elsewhere; (?:one of the )?end of my (?:rope|tether);
            money pit; (?:a )?bad taste in; miles better; (?:rarely|never|hardly ever)
            (?:seen|read|heard|met|had|tasted) an? (?:weaker|worse|duller|uglier|sillier) \w+; not my favou?rite;
            live up to; moving (?:our|my) \w+ elsewhere; (?:cost|costs) an arm and a leg; down the drain; let
            (?:\w+ )?down; fell apart; falls apart; fall apart; falls? flat; fell flat; (?:run|running|ran) out of
            patience; patience has run out; leaves? (?:a lot|much) to be desired; left (?:a lot|much) to be
            desired; (?:save your|waste of) (?:money|time|space|breath); stay away; steer clear; step back; thanks
            for nothing; no thanks to; could have been (?:better|so much|great|good); (?:expected|hoped for|wanted)
            (?:\w+ ){0,2}(?:more|better); get worse; (?:going|gone|went|goes) downhill; (?:give|gave|given) up; too
            (?:long|slow|much|loud|small|big|expensive|many|short|late|bad|tight|thin|hot|cold|tired)\b;
            (?:pain|thorn) in the; rubs? me the wrong way; fed up; sick of; sick and tired; had enough of; what a
            joke; (?:is|are|was|were) a joke; bad news; (?:never|no|without) (?:an?
            )?(?:answer|reply|response|apology|refund|explanation); (?:never|not|n't|nobody|no one) (?:\w+
            )?(?:answer|answered|answers|replied|reply|respond|responded|listens|listened|cares|cared|bother|\
            bothered|fit|fits|close|closed|arrive|arrived|come back|be back|buy again|return
            again|work|works|worked|recline)\b; never again; (?:0|zero|1|one) (?:out of |/ ?)(?:10|ten|5|five);
            [0-3]/10; [01]/5; one star; 1 star; zero stars; (?:root canal|watching paint dry|nails on a
            chalkboard); wouldn't wish; for nothing; what a mess; (?:threw|throw|thrown|throws|throwing) (?:it
            |them )?(?:all )?(?:away|out); flat tire; flat tyre; dies? after; died after; dies? within;
            (?:ended|end) up returning; money back; demand a refund; (?:want|wanted|asked for) (?:a |my
            )?(?:refund|money); smells? of; smelled of; tastes? (?:of|like) (?:soap|cardboard|plastic|nothing);
            tasted (?:of|like) (?:soap|cardboard|plastic|nothing); charged (?:us|me) (?:for|twice); losing? all;
            lost all; (?:on|in) the garage, useless; makes? no sense; made no sense; no sense; is missing; are
            missing; were missing; look(?:s|ed)? bored; beyond repair; (?:wrong|missing|broken)
            (?:part|parts|item|size|order); like (?:the|a|an) (?:amateur|chore); feels? like a chore;
            (?:yelled|shouted|screamed|honked) at; (?:old|previous|last) (?:one|model|version|season|formula)
            (?:was|is) (?:\w+ )?better; better (?:before|than this); (?:liked|loved|enjoyed|preferred)
            (?:it|them|this) (?:more|better)? ?before; nothing to like; dying out; under the weather; afraid
            (?:that )?(?:this|that|the|your|it); what is wrong with; what's wrong with; too much to ask; shame
            about; smh\b; nothing special
        """,
        " idiombad ",
    ),
    # neither
    (
        r"""
            at best; best (?:practices?|regards|wishes); great (?:deal|britain|lakes); no
            (?:problem|matter|doubt|wonder); not to mention; without (?:a )?doubt; nothing but; why not; (?:whether
            )?or not; if not; of course; thank you for (?:your (?:question|message|patience)); free
            (?:software|trial|will|time|throw|fall); good (?:morning|afternoon|evening); (?:rough|hard)
            (?:draft|drive|disk|copy); dead(?:line| end); (?:kill|killing|killed) (?:the|a) (?:process|job|task);
            (?:stress|alarm|error|warning|fatal|critical) (?:test|tests|clock|message|messages|code|codes|log|\
            error); fatal error; kind (?:of|regards); well as; a little bit; natural
            (?:gas|number|numbers|language); positive (?:number|integer|definite); negative
            (?:number|integer|charge); happy ending; sad (?:one|ending)
        """,
        " idiomflat ",
    ),
)
"""(phrases, what stands for them): the phrase becomes one word of the lexicon, so that negation and contrast see it."""

IRONY = r"""
    ^(?:oh|ah|wow|well)?,? ?(?:great|wonderful|fantastic|perfect|brilliant|lovely|joy|awesome|terrific)[,.!]+
    (?:another|now|just|more|yet|that's just|the)\b; ^oh (?:great|joy|wonderful|fantastic|perfect|lovely|\
    brilliant)\b; yeah,? right\b; thanks for nothing\b; \bthanks a lot for (?:ruining|breaking|nothing); ^just what
    (?:i|we|everyone|everybody) (?:needed|wanted)\b; ^(?:nice|great|good|excellent|brilliant)
    (?:job|work|going|move),? (?:breaking|losing|deleting|ruining|destroying|forgetting|crashing|genius|einstein|\
    sherlock); ^another (?:\w+ )?(?:wonderful|great|lovely|fantastic|glorious|fun|amazing|perfect)
    (?:day|evening|night|week|meeting|morning) (?:of|at|in|with)\b; \bas
    (?:fun|enjoyable|pleasant|exciting|charming|comfortable|useful|clear|interesting|funny) as
    (?:a|an|watching|being|getting|having|mud)\b; \bif you (?:like|love|enjoy|are into|fancy) (?:being|watching
    paint|waiting|losing|pain|getting|wasting|paying)\b; ^how
    (?:generous|kind|nice|thoughtful|lovely|considerate|sweet) of (?:them|him|her|you|it)\b; ^sure,? because\b;
    ^because (?:who|everyone|everybody|nothing)\b; \bwhat a (?:\w+ )?(?:brilliant|great|genius|wonderful|fantastic)
    (?:idea|plan|move)\b(?=[,:].*\blet's); \b(?:everybody|everyone|who doesn't|don't you just|i just|i really|i)
    loves? (?:it when|being|how (?:it|they) (?:never|always)|waiting|paying|when)\b; \bso (?:glad|happy|pleased)
    (?:that )?(?:i|we) (?:paid|waited|wasted|spent|bothered)\b; \b(?:well|that),? (?:that )?went well:;
    \bcongratulations,? you(?:'ve| have)? (?:\w+ )?(?:managed to |just
    )?(?:delete|deleted|break|broke|broken|lose|lost|ruin|ruined|crash|crashed|forget|forgot|wasted|waste)
"""
"""Praise that is meant as blame, where the wording alone tells."""
