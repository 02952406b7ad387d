namespace VsockPair.Decoding.Printing;

internal enum PrintToken
{
    End,

    /// <summary>A name or a number.</summary>
    Word,

    /// <summary>Text in double quotes, without them; several in a row are one.</summary>
    Text,

    /// <summary>A character in single quotes.</summary>
    Character,

    /// <summary>An operator or a bracket, one or two characters.</summary>
    Symbol,

    /// <summary>No C.</summary>
    Bad,
}

/// <summary>Cuts a print format into the tokens of C. Backslashes in text stay.</summary>
internal sealed class PrintScanner
{
    private static readonly string[] Pairs = ["->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||"];

    private readonly string _text;
    private int _at;

    public PrintScanner(string text)
    {
        _text = text;
        Next();
    }

    /// <summary>The token that stands next.</summary>
    public PrintToken Token { get; private set; }

    public string Value { get; private set; } = "";

    public bool IsSymbol(string symbol) => Token == PrintToken.Symbol && Value == symbol;

    public bool IsWord(string word) => Token == PrintToken.Word && Value == word;

    public bool TrySymbol(string symbol)
    {
        bool isThere = IsSymbol(symbol);
        if (isThere)
        {
            Next();
        }
        return isThere;
    }

    public bool TryWord(out string word)
    {
        word = Value;
        bool isThere = Token == PrintToken.Word;
        if (isThere)
        {
            Next();
        }
        return isThere;
    }

    /// <summary>For one look ahead: the place to come back to.</summary>
    public (int At, PrintToken Token, string Value) Place => (_at, Token, Value);

    public void Return((int At, PrintToken Token, string Value) place) => (_at, Token, Value) = place;

    public void Next()
    {
        SkipSpace();
        if (_at == _text.Length)
        {
            Set(PrintToken.End, _at);
            return;
        }
        char c = _text[_at];
        if (IsWordPart(c))
        {
            int end = _at;
            while (end < _text.Length && IsWordPart(_text[end]))
            {
                end++;
            }
            Set(PrintToken.Word, end);
        }
        else if (c == '"')
        {
            ReadText();
        }
        else if (c == '\'')
        {
            Token = TryQuoted('\'', out string value) ? PrintToken.Character : PrintToken.Bad;
            Value = value;
        }
        else if (char.IsAscii(c) && !char.IsControl(c))
        {
            int length = _at + 1 < _text.Length && Pairs.AsSpan().Contains(_text.Substring(_at, 2)) ? 2 : 1;
            Set(PrintToken.Symbol, _at + length);
        }
        else
        {
            Set(PrintToken.Bad, _at + 1);
        }
    }

    private void Set(PrintToken token, int end)
    {
        Token = token;
        Value = _text[_at..end];
        _at = end;
    }

    private void ReadText()
    {
        Token = PrintToken.Text;
        Value = "";
        List<string> parts = [];
        while (_at < _text.Length && _text[_at] == '"')
        {
            if (!TryQuoted('"', out string part))
            {
                Token = PrintToken.Bad;
                return;
            }
            parts.Add(part);
            SkipSpace();
        }
        Value = parts.Count == 1 ? parts[0] : string.Concat(parts);
    }

    private bool TryQuoted(char quote, out string value)
    {
        int end = _at + 1;
        while (end < _text.Length && _text[end] != quote)
        {
            end += _text[end] == '\\' ? 2 : 1;
        }
        if (end >= _text.Length)
        {
            value = "";
            _at = _text.Length;
            return false;
        }
        value = _text[(_at + 1)..end];
        _at = end + 1;
        return true;
    }

    private void SkipSpace()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at]))
        {
            _at++;
        }
    }

    private static bool IsWordPart(char c) => char.IsAsciiLetterOrDigit(c) || c == '_';
}
