using System.Collections;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Vmm.ControlTests.Kit;

/// <summary>Messages of any type with values that could mean something, or break something.</summary>
internal sealed class RandomMessages(Random random, params string[] names)
{
    static readonly ulong[] Numbers = [0, 1, 2, 3, 5, 7, 64, 512, 4096, 65535, 1 << 20, 100_000_000, uint.MaxValue, 1ul << 32, 1ul << 52, long.MaxValue, ulong.MaxValue - 1, ulong.MaxValue];

    readonly string[] texts =
    [
        "", .. names, "nobody", "00:03.0", "00:03", "ff:1f.7", "\0", "é\uFFFD", new('x', 5000), "../../etc/passwd", "/dev/zero", "vtd", "virtio", "strict", "read", "haswell", "operations", "done=true", "(a", ".*", "READY",
        "CPU 0 BANK 1\nSTATUS FATAL\n", "disk", "size=1M", "edu", "bypass", "on", "cycles", "nvme", "5", "m1",
    ];

    /// <summary>A message.</summary>
    public IMessage Of(MessageDescriptor type, int depth = 4)
    {
        var message = (IMessage)Activator.CreateInstance(type.ClrType)!;
        foreach (var field in type.Fields.InFieldNumberOrder())
        {
            // Fields of a choice replace each other, so the last one stays.
            if (random.Next(3) == 0 || depth == 0 && field.FieldType == FieldType.Message)
            {
                continue;
            }

            if (field.IsMap)
            {
                var map = (IDictionary)field.Accessor.GetValue(message);
                map[Value(field.MessageType.FindFieldByNumber(1), depth)] = Value(field.MessageType.FindFieldByNumber(2), depth);
            }
            else if (field.IsRepeated)
            {
                var list = (IList)field.Accessor.GetValue(message);
                for (var left = random.Next(20) == 0 ? 300 : random.Next(4); left > 0; left--)
                {
                    list.Add(Value(field, depth));
                }
            }
            else
            {
                field.Accessor.SetValue(message, Value(field, depth));
            }
        }

        return message;
    }

    /// <summary>The same message with some of its fields, or of those inside it, changed.</summary>
    public IMessage Changed(IMessage message, int changes)
    {
        var copy = message.Descriptor.Parser.ParseFrom(message.ToByteArray());
        for (var i = 0; i < changes; i++)
        {
            Change(copy);
        }

        return copy;
    }

    void Change(IMessage message)
    {
        var fields = message.Descriptor.Fields.InFieldNumberOrder();
        if (fields.Count == 0)
        {
            return;
        }

        var field = fields[random.Next(fields.Count)];
        if (field.IsMap || field.IsRepeated)
        {
            var list = field.Accessor.GetValue(message) as IList;
            if (list is { Count: > 0 } && list[0] is IMessage inner && random.Next(2) == 0)
            {
                Change(inner);
            }
            else
            {
                field.Accessor.Clear(message);
                list?.Add(Value(field, 2));
            }
        }
        else if (field.FieldType == FieldType.Message && field.Accessor.GetValue(message) is IMessage there && random.Next(4) != 0)
        {
            Change(there);
        }
        else
        {
            field.Accessor.SetValue(message, Value(field, 2));
        }
    }

    object Value(FieldDescriptor field, int depth) => field.FieldType switch
    {
        FieldType.String => random.Next(3) == 0 && names.Length != 0 ? names[random.Next(names.Length)] : texts[random.Next(texts.Length)],
        FieldType.Bytes => ByteString.CopyFrom(new byte[random.Next(8) == 0 ? 100_000 : random.Next(10)]),
        FieldType.Bool => random.Next(2) == 0,
        FieldType.UInt32 => (uint)Numbers[random.Next(Numbers.Length)],
        FieldType.Int32 => (int)Numbers[random.Next(Numbers.Length)],
        FieldType.UInt64 => Numbers[random.Next(Numbers.Length)],
        FieldType.Int64 => (long)Numbers[random.Next(Numbers.Length)],
        FieldType.Double => random.Next(4) switch { 0 => double.NaN, 1 => -1.0, 2 => 0.5, _ => double.MaxValue },
        FieldType.Enum => Enum.ToObject(field.EnumType.ClrType, random.Next(5) == 0 ? 99 : field.EnumType.Values[random.Next(field.EnumType.Values.Count)].Number),
        FieldType.Message => Of(field.MessageType, depth - 1),
        _ => throw new NotSupportedException($"{field.FullName} is a {field.FieldType}"),
    };
}
