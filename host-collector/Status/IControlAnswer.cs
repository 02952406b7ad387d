namespace VsockPair.Status;

/// <summary>One command of <c>control.sock</c>.</summary>
internal interface IControlAnswer
{
    /// <summary>The value of <c>command</c> in a request.</summary>
    string Command { get; }

    /// <param name="line">The request, one line of JSON.</param>
    /// <param name="uid">Whose process asks.</param>
    /// <returns>The answer, JSON without a line's end.</returns>
    /// <exception cref="System.Text.Json.JsonException">The line is no such request.</exception>
    Task<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid);
}
