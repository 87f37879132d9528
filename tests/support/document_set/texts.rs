//! Words for documents, in languages that differ in script, direction and what stands between words.

/// What documents of one language say.
pub(crate) struct LanguageText {
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) headings: [&'static str; 3],
    pub(crate) paragraphs: [&'static str; 4],
    pub(crate) items: [&'static str; 3],
    pub(crate) table: [[&'static str; 3]; 4],
    pub(crate) note: &'static str,
}

pub(crate) const LANGUAGES: [LanguageText; 8] = [
    LanguageText {
        code: "en",
        title: "Rules of the harbour",
        headings: ["Arrival", "Storage & customs", "Lights at night"],
        paragraphs: [
            "A ship that wants to enter calls the harbour master two hours before, on channel twelve. It waits \
             outside the pier until a pilot is on board.",
            "Goods are kept in the northern halls for at most thirty days; after that the owner pays double. Fish \
             is never stored there, whatever the season.",
            "The lamp of the eastern pier burns from dusk to dawn. If it fails, a bell is rung every half minute, \
             and no ship leaves its berth.",
            "Fees of 250 euros a week are due on Mondays. Whoever pays a month ahead saves a tenth of them.",
        ],
        items: ["Ropes belong on the quay", "Engines are off at the fuel pier", "Dogs are kept on a leash"],
        table: [
            ["Berth", "Length", "Owner"],
            ["Northern", "42", "Marlow Brothers"],
            ["Southern", "18", "Coastguard"],
            ["Eastern", "65", "Ferry company"],
        ],
        note: "The pilot's fee is charged apart from that.",
    },
    LanguageText {
        code: "de",
        title: "Ordnung der Werkstätten",
        headings: ["Öffnungszeiten", "Maschinen und Geräte", "Müll"],
        paragraphs: [
            "Die Werkstätten öffnen um sieben Uhr früh und schließen um zehn Uhr abends. An Feiertagen bleibt nur \
             die Schreinerei zugänglich.",
            "Wer an der Kreissäge arbeitet, trägt Schutzbrille und Gehörschutz; Handschuhe sind dort verboten, weil \
             das Sägeblatt sie erfasst.",
            "Späne kommen in die graue Tonne, ölige Lappen in den Blechkasten neben der Tür. Er wird täglich \
             geleert, damit sich nichts entzündet.",
            "Für größere Vorhaben ist eine Bürgschaft über 120 Euro zu hinterlegen, die nach der Prüfung \
             zurückgezahlt wird.",
        ],
        items: ["Schlüssel beim Hausmeister abgeben", "Druckluft abstellen", "Fenster schließen"],
        table: [
            ["Gerät", "Baujahr", "Zuständig"],
            ["Hobelbank", "1987", "Frau Jäger"],
            ["Drehbank", "2004", "Herr Weiß"],
            ["Ständerbohrmaschine", "2019", "Frau Özdemir"],
        ],
        note: "Prüfungen finden jeden zweiten Dienstag statt.",
    },
    LanguageText {
        code: "fr",
        title: "Règlement de la bibliothèque",
        headings: ["Prêt à domicile", "Salle de lecture", "Dégâts"],
        paragraphs: [
            "Chaque lecteur emprunte jusqu'à huit volumes pour trois semaines. Les périodiques reliés et les cartes \
             ne sortent jamais de l'établissement.",
            "La grande salle est ouverte dès neuf heures; les places près des fenêtres sont réservées à ceux qui \
             dessinent d'après les manuscrits.",
            "Un ouvrage taché ou déchiré est réparé aux frais de l'emprunteur. S'il est épuisé, on en cherche un \
             exemplaire chez les bouquinistes.",
            "L'abonnement coûte 35 euros par an; il est gratuit pour les élèves, les étudiants et les chômeurs.",
        ],
        items: ["Ôter son manteau à l'entrée", "Parler à voix basse", "Rendre les clés du casier"],
        table: [
            ["Fonds", "Volumes", "Responsable"],
            ["Poésie", "4120", "Mme Lefèvre"],
            ["Géographie", "2875", "M. Noël"],
            ["Théâtre", "960", "Mme Garçon"],
        ],
        note: "Les retards de plus d'un mois suspendent le prêt.",
    },
    LanguageText {
        code: "pl",
        title: "Regulamin schroniska górskiego",
        headings: ["Noclegi", "Kuchnia turystyczna", "Wyjścia w góry"],
        paragraphs: [
            "Łóżko rezerwuje się najpóźniej w środę. Kto przyjdzie bez zapowiedzi, śpi na podłodze w świetlicy, \
             chyba że ktoś odwoła przyjazd.",
            "Kuchnia jest otwarta całą dobę; każdy zmywa po sobie naczynia i wynosi śmieci do kosza za drewnianą \
             szopą.",
            "Wychodząc na szlak, wpisz się do książki wyjść i podaj godzinę powrotu. Jeżeli się spóźnisz o trzy \
             godziny, dyżurny zawiadomi ratowników.",
            "Drewno do kominka kosztuje 15 złotych za wiązkę, a żółte latarki wypożycza się bezpłatnie.",
        ],
        items: ["Buty zostają w przedsionku", "Cisza nocna od dziesiątej", "Żadnych świec w pokojach"],
        table: [
            ["Szlak", "Czas", "Trudność"],
            ["Czerwony", "180", "średnia"],
            ["Żółty", "95", "łatwa"],
            ["Niebieski", "310", "bardzo trudna"],
        ],
        note: "W razie burzy szlak żółty jest zamknięty.",
    },
    LanguageText {
        code: "ru",
        title: "Правила оранжереи",
        headings: ["Посещение", "Полив растений", "Семена и черенки"],
        paragraphs: [
            "Оранжерея открыта с десяти утра до шести вечера, кроме понедельника. Группы больше двенадцати человек \
             записываются заранее.",
            "Пальмы поливают тёплой водой раз в неделю, а кактусы зимой не поливают вовсе. Кто ошибётся, пересаживает \
             растение сам.",
            "Семена хранят в бумажных пакетах с датой сбора. Черенки выдают только весной, и лишь тем, кто уже \
             работал в саду.",
            "Билет стоит 400 рублей; школьникам вход свободный, если учитель предъявит список класса.",
        ],
        items: ["Двери держать закрытыми", "Не трогать насекомых", "Лейки вернуть на полку"],
        table: [
            ["Зал", "Площадь", "Садовник"],
            ["Тропический", "820", "Ольга Громова"],
            ["Пустынный", "340", "Пётр Щукин"],
            ["Учебный", "150", "Анна Юрьева"],
        ],
        note: "В морозные дни зал пустыни закрыт.",
    },
    LanguageText {
        code: "el",
        title: "Κανονισμός του μουσείου",
        headings: ["Ωράριο", "Φωτογραφίες", "Ξεναγήσεις"],
        paragraphs: [
            "Το μουσείο ανοίγει στις εννέα το πρωί και κλείνει με τη δύση του ήλιου. Την Τρίτη μένει κλειστό για \
             καθαρισμό.",
            "Οι φωτογραφίες επιτρέπονται χωρίς φλας, εκτός από την αίθουσα των παπύρων, όπου το φως καταστρέφει το \
             μελάνι.",
            "Κάθε ξενάγηση διαρκεί μία ώρα και έχει το πολύ δεκαπέντε επισκέπτες. Όσοι καθυστερούν περιμένουν την \
             επόμενη.",
            "Το εισιτήριο κοστίζει 12 ευρώ, και η είσοδος είναι ελεύθερη την πρώτη Κυριακή του μήνα.",
        ],
        items: ["Μην αγγίζετε τα αγάλματα", "Αφήστε τις τσάντες στη φύλαξη", "Κλείστε τα κινητά"],
        table: [
            ["Αίθουσα", "Εκθέματα", "Φύλακας"],
            ["Αρχαϊκή", "212", "Νίκος Παππάς"],
            ["Ρωμαϊκή", "148", "Ελένη Ξένου"],
            ["Βυζαντινή", "96", "Γιώργος Ψαρράς"],
        ],
        note: "Οι πάπυροι εκτίθενται μόνο τον χειμώνα.",
    },
    LanguageText {
        code: "ja",
        title: "茶室の使い方",
        headings: ["予約について", "道具の扱い", "片付け"],
        paragraphs: [
            "茶室を使うには三日前までに受付で予約してください。雨の日は庭の門が閉まるので、南の入口から入ります。",
            "釜と茶碗は棚の上の段にあります。古い茶碗は正月にしか使いませんから、鍵のかかった箱を開けないでください。",
            "終わったら畳を乾いた布で拭き、炭の火が消えたことを二人で確かめます。花は次の人のために残します。",
            "料金は一時間2500円で、学生は半額になります。キャンセルは前日まで無料です。",
        ],
        items: ["靴は玄関で脱ぐ", "写真は許可を得てから", "窓を閉めて帰る"],
        table: [
            ["部屋", "畳", "担当"],
            ["松の間", "8", "山田花子"],
            ["竹の間", "6", "佐藤健"],
            ["梅の間", "4", "鈴木一郎"],
        ],
        note: "冬は炉を使います。",
    },
    LanguageText {
        code: "he",
        title: "תקנון הגינה הקהילתית",
        headings: ["חלקות", "השקיה", "קומפוסט"],
        paragraphs: [
            "כל משפחה מקבלת חלקה אחת לשנה. מי שאינו מעבד את החלקה במשך חודשיים מחזיר אותה לרשימת ההמתנה.",
            "משקים רק בבוקר או אחרי השקיעה, כדי לחסוך במים. את הצינור מגלגלים ומחזירים למחסן.",
            "שאריות ירקות מגיעות לערמה שליד הגדר, אבל לא בשר ולא גבינה. אחת לשבוע הופכים את הערמה.",
            "דמי ההשתתפות הם 180 שקלים לעונה, ומשלמים אותם עד סוף מרץ.",
        ],
        items: ["סוגרים את השער", "לא מרססים חומרי הדברה", "מנקים את הכלים"],
        table: [
            ["חלקה", "שטח", "משפחה"],
            ["צפונית", "24", "כהן"],
            ["דרומית", "30", "לוי"],
            ["מזרחית", "18", "מזרחי"],
        ],
        note: "בחגים הגינה סגורה.",
    },
];
