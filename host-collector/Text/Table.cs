namespace VsockPair.Text;

/// <summary>Rows with aligned columns, two spaces apart. Cells that come from a guest must have been escaped (<see cref="TerminalText"/>).</summary>
public sealed class Table(params string[] headers)
{
    private readonly List<string[]> _rows = [headers];
    private readonly HashSet<int> _right = [];

    /// <summary>Columns of numbers.</summary>
    public Table AlignRight(params int[] columns)
    {
        _right.UnionWith(columns);
        return this;
    }

    public void Add(params string[] cells) => _rows.Add(cells);

    public void Write(TextWriter output)
    {
        int[] widths = [.. Enumerable.Range(0, _rows[0].Length).Select(column => _rows.Max(row => row[column].Length))];
        foreach (string[] row in _rows)
        {
            IEnumerable<string> cells = row.Select((cell, column) => _right.Contains(column) ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column]));
            output.WriteLine(string.Join("  ", cells).TrimEnd());
        }
    }
}
