namespace VsockPair.Status;

/// <summary>One command of <c>control.sock</c> or <c>watch.sock</c>.</summary>
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

/// <summary>A command whose answer has lines as things happen, until it has its last one or the client goes.</summary>
internal interface IControlStream
{
    /// <summary>The value of <c>command</c> in a request.</summary>
    string Command { get; }

    /// <param name="line">The request, one line of JSON.</param>
    /// <param name="uid">Whose process asks.</param>
    /// <returns>Each line, JSON without its end.</returns>
    /// <exception cref="System.Text.Json.JsonException">The line is no such request.</exception>
    IAsyncEnumerable<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid, CancellationToken gone);
}
